"""Incidents: search, batch search, statistics."""

import asyncio
from contextlib import nullcontext
from typing import Any

import msgspec

from sengol_api.api import examples, present, wire
from sengol_api.api.operations import Answer, Call, Example, Operation
from sengol_api.resilience import skip_cache
from sengol_api.review.incident import IncidentFilter
from sengol_api.review.statistics import summarise
from sengol_api.review.vocabulary import Vocabulary, iso_country
from sengol_api.validation import convert

_LISTS = ("industries", "severities", "incident_types", "attack_types", "countries", "sources", "kinds")


def to_filter(given: wire.FilterIn, vocabulary: Vocabulary) -> IncidentFilter:
    """A filter in codes: an industry and a country may be named as people name them."""
    industries = {term.code if (term := vocabulary.resolve("industries", name)) else name for name in given.industries}
    lists: dict[str, Any] = {name: frozenset(getattr(given, name)) for name in _LISTS}
    lists["industries"] = frozenset(industries)
    lists["countries"] = frozenset(_country(name, vocabulary) for name in given.countries)
    return IncidentFilter(**lists, year_from=given.year_from, year_to=given.year_to)


def _country(name: str, vocabulary: Vocabulary) -> str:
    """The ISO 3166 code that incidents carry, for a country's name or code."""
    place = vocabulary.resolve("jurisdictions", name)
    return iso_country(place.code) if place else name.upper()


async def search(call: Call) -> Answer:
    """Search incidents."""
    body: wire.SearchIn = call.body
    return Answer((await _search(call, [body.query], body))[0])


async def search_batch(call: Call) -> Answer:
    """Several searches in one go."""
    body: wire.BatchSearchIn = call.body
    return Answer(wire.BatchSearchOut(results=await _search(call, body.queries, body)))


async def _search(call: Call, queries: list[str], asked: wire.SearchIn | wire.BatchSearchIn) -> list[wire.SearchOut]:
    services = call.services
    condition = to_filter(asked.filter, services.vocabulary)
    with skip_cache() if asked.skip_cache else nullcontext():
        found = await services.search(queries, condition=condition, limit=asked.limit)
    return [
        present.found(query, items, found, corpus_version=services.corpus.version, attribution=services.attribution)
        for query, items in zip(queries, found.answers, strict=True)
    ]


async def statistics(call: Call) -> Answer:
    """What the incidents of a filter have in common."""
    services = call.services
    condition = to_filter(_from_query(call.query), services.vocabulary)
    admitted = (incident for incident in services.corpus.all() if condition.admits(incident))
    result = await asyncio.to_thread(summarise, admitted)
    return Answer(
        wire.StatisticsOut(**present.summary(result), corpus_version=services.corpus.version, attribution=services.attribution)
    )


def _from_query(query: wire.StatisticsIn) -> wire.FilterIn:
    """The filter of a query string, checked like one of a body."""
    given = msgspec.to_builtins(query)
    return convert({name: _split(value) if isinstance(value, str) else value for name, value in given.items()}, wire.FilterIn)


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


OPERATIONS = (
    Operation(
        method="POST",
        path="/api/incidents/search",
        name="searchIncidents",
        work="heavy",
        summary="Search incidents",
        description="By meaning and by words. `similarity` is the cosine of query and incident, 0-1.",
        tag="Incidents",
        handler=search,
        body=wire.SearchIn,
        answer=wire.Success[wire.SearchOut],
        example=Example(wire.Success(data=examples.FOUND_ALL), examples.SEARCH),
    ),
    Operation(
        method="POST",
        path="/api/incidents/search/batch",
        name="searchIncidentsBatch",
        work="heavy",
        summary="Search for several things at once",
        description="Up to 50 queries under one filter; one result each, in their order.",
        tag="Incidents",
        handler=search_batch,
        body=wire.BatchSearchIn,
        answer=wire.Success[wire.BatchSearchOut],
        example=Example(wire.Success(data=wire.BatchSearchOut(results=[examples.FOUND_ALL])), examples.BATCH),
    ),
    Operation(
        method="GET",
        path="/api/incidents/statistics",
        name="incidentStatistics",
        work="heavy",
        summary="Statistics over a filter",
        description="Counts, and the median and quartiles of costs and records. Fines, losses and ransoms are never mixed.",
        tag="Incidents",
        handler=statistics,
        query=wire.StatisticsIn,
        answer=wire.Success[wire.StatisticsOut],
        example=Example(wire.Success(data=examples.STATISTICS)),
    ),
)
