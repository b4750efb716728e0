"""The ``VectorIndex`` over the client, and what health tells."""

import json

import numpy as np
import pytest

from sengol_api.adapters.dvecdb import DvecdbIndex, IndexRebuilding, InvalidVector, ServerUnavailable
from sengol_api.adapters.dvecdb.lines import CACHE
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import LadderIndex
from sengol_api.resilience import CircuitBreaker, OptionsError, Registry
from sengol_api.review.errors import AppError, CircuitBreakerError
from sengol_api.review.provenance import Degradation, collect
from support.dvecdb.clients import exact, ids_of, options_for, records_of, unit, until, virtually
from support.dvecdb.in_memory import answering, hanging, only, refusing
from support.tiny_http import Reply

IDS, VECTORS = ids_of(40), unit(40)
QUERIES = unit(4, seed=99)
EMBEDDED = ExactIndex(IDS, VECTORS)


def test_the_index_searches_in_d_vecdb_and_compares_here():
    async def work(s):
        index = DvecdbIndex(s.client, EMBEDDED)
        assert len(index) == 40
        allowed = frozenset(IDS[::2])
        found = await index.search(QUERIES, 3, allowed)
        assert [[hit.id for hit in hits] for hits in found] == [exact(VECTORS, q, IDS, 3, allowed.__contains__) for q in QUERIES]
        sent = len(s.server.sent)
        assert await index.compare(QUERIES[:1], [[IDS[3], "unknown"]]) == [[pytest.approx(float(VECTORS[3] @ QUERIES[0])), 0.0]]
        assert len(s.server.sent) == sent == 4

    virtually(work)


def test_requests_are_counted_for_who_asks_what_an_answer_was_made_from():
    async def work(s):
        with collect() as provenance:
            await DvecdbIndex(s.client, EMBEDDED).search(QUERIES, 3)
        assert provenance.calls == 4
        assert provenance.degraded == ()

    virtually(work)


def test_a_stale_answer_is_told_as_such():
    async def work(s):
        index = LadderIndex(DvecdbIndex(s.client, EMBEDDED), EMBEDDED, clock=s.loop)
        fresh = await index.search(QUERIES, 3)
        await s.loop.sleep(3601)
        s.server.fault = refusing
        with collect() as provenance:
            assert await index.search(QUERIES, 3) == fresh
        assert [(each.dependency, each.served) for each in provenance.degraded] == [("search", "stale")]

    virtually(work, cache=CACHE, options={"check_interval": 1e6})


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        (refusing, {ServerUnavailable, CircuitBreakerError}),
        (hanging, {ServerUnavailable, CircuitBreakerError}),
        (answering(Reply(500)), {ServerUnavailable, CircuitBreakerError}),
    ],
    ids=["refused", "silent", "500"],
)
def test_what_it_raises_is_known_to_the_ladder_and_the_index_below_serves(fault, kinds):
    async def work(s):
        index = DvecdbIndex(s.client, EMBEDDED)
        ladder = LadderIndex(index, EMBEDDED, clock=s.loop)
        s.server.fault = only("/search", fault)
        for _ in range(3):
            with pytest.raises(AppError) as caught:
                await index.search(QUERIES, 3)
            assert type(caught.value) in kinds
            with collect() as provenance:
                found = await ladder.search(QUERIES, 3)
            assert [[hit.id for hit in hits] for hits in found] == [exact(VECTORS, q, IDS, 3) for q in QUERIES]
            assert [(each.dependency, each.served) for each in provenance.degraded] == [("search", "embedded")]

    virtually(work, options={"timeout": 1.0, "breaker": CircuitBreaker()})


def test_while_the_index_is_built_the_one_below_serves_and_says_why():
    async def work(s):
        ladder = LadderIndex(DvecdbIndex(s.client, EMBEDDED), EMBEDDED, clock=s.loop)
        s.server.server.restart()
        s.server.seconds = 3.0
        with collect() as provenance:
            await ladder.search(QUERIES[:1], 3)
        reason = "d-vecDB has lost the index; it is being built again from the records."
        assert provenance.degraded == (Degradation("search", "embedded", reason),)

    virtually(work)


def test_a_wrong_query_is_nobodys_outage():
    async def work(s):
        ladder = LadderIndex(DvecdbIndex(s.client, EMBEDDED), EMBEDDED, clock=s.loop)
        with pytest.raises(InvalidVector):
            await ladder.search(np.ones((1, 9), dtype=np.float32), 3)

    virtually(work)


# Health ------------------------------------------------------------------------------------------------------------------


def test_health_has_the_shape_of_the_health_routes_and_is_json():
    async def work(s):
        assert s.client.get_health_status()["responseTime"] is None
        s.server.seconds = 0.25
        assert await s.client.health_check()
        await s.client.search_by_vector(QUERIES[0])
        health = s.client.get_health_status()
        assert json.loads(json.dumps(health)) == health
        assert health["status"] == "ok"
        assert health["responseTime"] == 250.0
        assert health["circuitBreaker"] == {
            "state": "CLOSED",
            "failureCount": 0,
            "recentFailures": 0,
            "successCount": health["circuitBreaker"]["successCount"],
            "rejected": 0,
            "nextAttempt": None,
        }
        assert health["index"]["vectors"] == 40
        assert health["rebuild"]["completed"] == 1
        assert health["rebuild"]["finishedAt"] >= health["rebuild"]["startedAt"]
        assert (health["statistics"]["searches"], health["statistics"]["requests"], health["statistics"]["failures"]) == (1, 1, 0)
        assert health["statistics"]["cache"]["misses"] == 1

    virtually(work, cache=CACHE)


@pytest.mark.parametrize("fault", [refusing, hanging, answering(Reply(500)), answering(Reply(200, b"<html>"))])
def test_a_health_check_never_raises_and_ends_in_its_time(fault):
    async def work(s):
        s.server.fault = only("/health", fault)
        began = s.loop.time()
        assert await s.client.health_check() is False
        assert s.loop.time() - began <= 5.1
        assert s.client.get_health_status()["responseTime"] is None
        s.server.fault = None
        assert await s.client.health_check() is True

    virtually(work)


def test_a_health_check_asks_the_server_past_an_open_breaker_and_does_not_count():
    async def work(s):
        s.server.fault = only("/search", refusing)
        for _ in range(5):
            with pytest.raises(ServerUnavailable):
                await s.client.search_by_vector(QUERIES[0], max_retries=0)
        assert s.client.get_health_status()["status"] == "unavailable"
        assert await s.client.health_check()
        assert s.client.get_health_status()["circuitBreaker"]["state"] == "OPEN"
        assert s.client.get_health_status()["circuitBreaker"]["nextAttempt"] is not None

    virtually(work, options={"breaker": CircuitBreaker(), "check_interval": 1e6})


def test_the_pipelines_stand_in_the_registry_while_the_client_is_open():
    registry = Registry()

    async def work(s):
        assert list(registry) == ["dvecdb", "dvecdb.writes", "dvecdb.cache"]
        registry.breakers()["dvecdb"].isolate()
        with pytest.raises(CircuitBreakerError):
            await s.client.search_by_vector(QUERIES[0])
        registry.breakers()["dvecdb"].reset()
        registry.update("dvecdb", "retry", max_retries=0)
        s.server.fault = only("/search", refusing)
        with pytest.raises(ServerUnavailable):
            await s.client.search_by_vector(QUERIES[0])
        assert s.server.count("POST", "/search") == 1
        from sengol_api.adapters.dvecdb import DvecdbClient

        with pytest.raises(OptionsError, match="name='dvecdb' is taken"):
            DvecdbClient(options_for(), records=records_of(1), registry=registry)

    virtually(work, registry=registry, cache=CACHE)
    assert list(registry) == []


def test_waiting_for_the_index_ends_when_it_is_told_to():
    async def work(s):
        assert await s.client.ready(1.0)
        s.server.server.restart()
        s.server.seconds = 10.0
        with pytest.raises(IndexRebuilding):
            await s.client.search_by_vector(QUERIES[0])
        assert not await s.client.ready(1.0)
        await until(lambda: s.client.get_health_status()["status"] == "ok")

    virtually(work)
