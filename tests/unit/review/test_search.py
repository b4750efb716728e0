"""Searching the incidents."""

import pytest

from sengol_api.review.incident import IncidentFilter
from sengol_api.review.search import SearchIncidents
from support.toys import toy_world


async def search(*queries, limit=5, **conditions):
    world = await toy_world()
    use_case = SearchIncidents(world.knowledge.corpus, spaces=world.spaces, keywords=world.keywords)
    return (await use_case(queries, condition=IncidentFilter(**conditions), limit=limit)).answers


async def test_the_best_incidents_come_first_with_their_similarity():
    [found] = await search("phishing mail stole credentials of employees")
    assert [f.incident.id.partition("-")[0] for f in found] == ["cyber.phishing"] * 5
    assert all(0 < f.similarity <= 1 for f in found)


async def test_a_filter_leaves_only_what_it_admits():
    [found] = await search("phishing mail", limit=100, severities=frozenset({"critical"}))
    assert found
    assert {f.incident.severity for f in found} == {"critical"}


async def test_a_filter_that_admits_nothing_finds_nothing():
    assert await search("phishing mail", "outage", industries=frozenset({"water"})) == [[], []]


async def test_there_is_one_answer_per_query_in_their_order():
    together = await search("phishing credentials", "region outage capacity")
    alone = [(await search("phishing credentials"))[0], (await search("region outage capacity"))[0]]
    assert [[f.incident.id for f in found] for found in together] == [[f.incident.id for f in found] for found in alone]


@pytest.mark.parametrize("limit", [1, 3])
async def test_there_are_no_more_than_asked_for(limit):
    [found] = await search("phishing", limit=limit)
    assert len(found) == limit


async def test_a_defect_of_a_product_stands_behind_what_happened_to_people():
    [found] = await search("unpatched server exploit vulnerability web framework", limit=100)
    ids = [f.incident.id for f in found]
    assert ids.index("vuln-1") >= 5


async def test_words_that_nothing_knows_are_no_error():
    [found] = await search("§§ 你好 \N{PILE OF POO}")
    assert len(found) <= 5
