"""Searches that are right over a server that answers worst-first, ignores filters and overlooks things."""

import json

import numpy as np
import pytest

from sengol_api.adapters.dvecdb import IndexNotReady, InMemoryRecords, InvalidVector
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.observability.events import observe
from sengol_api.observability.telemetry import Telemetry
from sengol_api.resilience import AdaptiveTimeout, OptionsError, Registry
from support.dvecdb.clients import DIMENSION, exact, ids_of, records_of, unit, virtually
from support.dvecdb.in_memory import InMemoryDvecdb
from support.ids import stable
from support.scraped import calls_of
from support.tiny_http import Reply, Request

IDS, VECTORS = ids_of(300), unit(300)
QUERY = unit(1, seed=99)[0]


def last_search(server):
    return json.loads(server.bodies[-1])


def test_the_nearest_come_first_with_similarity_distance_and_facts():
    async def work(s):
        results = await s.client.search_by_vector(QUERY, 5)
        assert [result.id for result in results] == exact(VECTORS, QUERY, IDS, 5)
        best = results[0]
        assert best.similarity == pytest.approx(float(VECTORS[IDS.index(best.id)] @ QUERY), abs=1e-5)
        assert best.distance == pytest.approx(1 - best.similarity, abs=1e-6)
        assert best.metadata == (await s.records.metadata([best.id]))[best.id]

    virtually(work, rows=300)


def test_so_many_candidates_are_asked_for_that_the_nearest_are_among_them():
    async def work(s):
        for limit, width in ((1, 100), (10, 100), (30, 120), (1000, 300)):
            await s.client.search_by_vector(QUERY, limit)
            asked = last_search(s.server)
            assert (asked["limit"], asked["ef_search"]) == (width, width)

    virtually(work, rows=300)


@pytest.mark.parametrize("limit", [0, -3])
def test_nothing_asked_for_is_nothing_found_and_nothing_sent(limit):
    async def work(s):
        assert await s.client.search_by_vector(QUERY, limit) == []
        assert s.server.sent == []

    virtually(work)


def test_without_records_there_is_nothing_to_find_and_no_server_is_needed():
    async def work(s):
        assert await s.client.search_by_vector(QUERY) == []
        assert s.server.server.collections == {}

    virtually(work, records=records_of(0, dimension=DIMENSION))


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        ([1.0] * 7, "8 numbers, this one has 7 numbers"),
        ([1.0] * 7 + [float("nan")], "not finite"),
        ([1.0] * 7 + [float("inf")], "not finite"),
        ([[1.0] * 8], "2 dimensions"),
        (["a"] * 8, "sequence of numbers"),
        ([None] * 8, "sequence of numbers"),
        ([True] * 8, "sequence of numbers"),
        (3.0, "0 dimensions"),
    ],
    ids=str,
)
def test_a_vector_that_cannot_be_searched_for_is_refused_before_anything_is_sent(vector, says):
    async def work(s):
        with pytest.raises(InvalidVector, match=says):
            await s.client.search_by_vector(vector)
        with pytest.raises(ValueError, match=says):
            await s.client.search_by_vector(vector)
        assert s.server.sent == []

    virtually(work)


@pytest.mark.parametrize("length", [1e-40, 1e-3, 1e30, 1e200])
def test_the_length_of_a_vector_does_not_matter(length):
    async def work(s):
        results = await s.client.search_by_vector(QUERY.astype(np.float64) * length, 3)
        assert [result.id for result in results] == exact(VECTORS, QUERY, IDS, 3)

    virtually(work, rows=300)


def test_a_vector_of_noughts_is_equally_far_from_all_and_finds_the_first_by_id():
    async def work(s):
        results = await s.client.search_by_vector(np.zeros(DIMENSION), 3)
        assert [(result.id, result.similarity) for result in results] == [(key, 0.0) for key in IDS[:3]]
        assert s.server.sent == []

    virtually(work, rows=300)


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        ({"group": 3}, lambda n: n % 7 == 3),
        ({"group": [1, 2]}, lambda n: n % 7 in {1, 2}),
        ({"tags": "odd", "group": (0, 5)}, lambda n: n % 2 == 1 and n % 7 in {0, 5}),
        ({"tags": ["odd", "even"]}, lambda n: True),
        ({"group": None}, lambda n: False),
        ({"nobody": 1}, lambda n: False),
        ({"nobody": None}, lambda n: True),
        ({"group": True}, lambda n: False),
        ({"group": []}, lambda n: False),
        ({}, lambda n: True),
        (set(IDS[::3]), lambda n: n % 3 == 0),
        (frozenset({"unknown"}), lambda n: False),
        (frozenset(), lambda n: False),
    ],
    ids=stable,
)
def test_filters_hold_and_are_filled_as_far_as_the_records_allow(given, holds):
    async def work(s):
        for limit in (1, 10, 200):
            results = await s.client.search_by_vector(QUERY, limit, given)
            assert [r.id for r in results] == exact(VECTORS, QUERY, IDS, limit, lambda key: holds(int(key[4:])))

    virtually(work, rows=300)


@pytest.mark.parametrize("given", ["group", 7, {"group": object()}, {"group": [{}]}, ["inc-0001"], {1, 2}], ids=stable)
def test_what_is_no_filter_is_refused_with_what_is(given):
    async def work(s):
        with pytest.raises(ValueError, match="filter"):
            await s.client.search_by_vector(QUERY, 3, given)

    virtually(work)


def test_a_filter_that_many_candidates_do_not_fill_is_answered_exactly_here():
    async def work(s):
        results = await s.client.search_by_vector(QUERY, 10, {"group": 3})
        assert [r.id for r in results] == exact(VECTORS, QUERY, IDS, 10, lambda key: int(key[4:]) % 7 == 3)
        assert s.client.get_health_status()["statistics"]["exact"] == {"filter": 1}

    virtually(work, rows=300, options={"max_candidates": 101})


def test_a_filter_on_few_ids_asks_the_server_nothing():
    async def work(s):
        results = await s.client.search_by_vector(QUERY, 10, {IDS[5], IDS[7]})
        assert {r.id for r in results} == {IDS[5], IDS[7]}
        assert s.server.sent == []

    virtually(work, rows=300, options={"max_candidates": 200})


def test_an_answer_that_is_too_short_is_not_believed():
    async def work(s):
        results = await s.client.search_by_vector(QUERY, 10)
        assert [r.id for r in results] == exact(VECTORS, QUERY, IDS, 10)
        assert s.client.get_health_status()["statistics"]["exact"] == {"short": 1}

    virtually(work, rows=300, server=InMemoryDvecdb(short_answers=1.0))


@pytest.mark.parametrize(
    ("condition", "holds", "asked"),
    [
        (None, lambda n: True, 1),
        (frozenset(IDS[::9]), lambda n: n % 9 == 0, 1),
        ({"group": 3}, lambda n: n % 7 == 3, 0),
    ],
    ids=["all", "ids", "facts"],
)
def test_an_index_in_this_process_is_asked_for_exact_answers_where_it_can_tell(condition, holds, asked):
    class Counting(ExactIndex):
        asked = 0

        async def search(self, *arguments):
            Counting.asked += 1
            return await super().search(*arguments)

    async def work(s):
        results = await s.client.search_by_vector(QUERY, 10, condition)
        assert [r.id for r in results] == exact(VECTORS, QUERY, IDS, 10, lambda key: holds(int(key[4:])))
        assert Counting.asked == asked

    virtually(work, rows=300, server=InMemoryDvecdb(short_answers=1.0), exact=Counting(IDS, VECTORS))


def test_distances_that_are_none_are_dropped_and_a_little_below_nought_is_nought():
    hit = {"id": "x", "distance": 0.5, "metadata": None}

    async def work(s):
        keys = [each["id"] for each in await every_hit(s)]

        async def odd(request):
            if not request.path.endswith("/search"):
                return None
            hits = [
                {**hit, "id": keys[0], "distance": -1e-7},
                {**hit, "id": keys[1], "distance": None},
                {**hit, "id": keys[2], "distance": 2.0000001},
            ]
            return Reply(body=json.dumps({"success": True, "data": hits, "error": None}).encode())

        s.server.fault = odd
        results = await s.client.search_by_vector(QUERY, 2)
        assert len(results) == 2
        assert all(0 <= r.distance <= 2 and -1 <= r.similarity <= 1 for r in results)

    virtually(work, records=records_of(3))


async def every_hit(setting):
    body = json.dumps({"vector": QUERY.tolist(), "limit": 9, "ef_search": 9}).encode()
    return said_by(setting, "search", body)


def said_by(setting, path, body):
    """What the server says to a request that does not come from the client."""
    (collection,) = setting.server.server.collections
    request = Request("POST", f"/collections/{collection}/{path}", {"content-type": "application/json"}, body)
    return json.loads(setting.server.server.handle(request).body)["data"]


def test_a_vector_that_is_in_the_graph_twice_is_shown_once():
    async def work(s):
        hits = await every_hit(s)

        async def doubled(request):
            if not request.path.endswith("/search"):
                return None
            return Reply(body=json.dumps({"success": True, "data": [*hits[3:], *hits], "error": None}).encode())

        s.server.fault = doubled
        assert [r.id for r in await s.client.search_by_vector(QUERY, 6)] == exact(VECTORS[:9], QUERY, IDS[:9], 6)

    virtually(work, records=records_of(9))


def test_a_hit_that_belongs_to_no_record_is_dropped_and_the_index_is_looked_at():
    async def work(s):
        (collection,) = s.server.server.collections
        body = json.dumps({"vectors": [{"id": "00000000-0000-4000-8000-000000000000", "data": QUERY.tolist()}]}).encode()
        said_by(s, "vectors/batch", body)
        results = await s.client.search_by_vector(QUERY, 5)
        assert [r.id for r in results] == exact(VECTORS, QUERY, IDS, 5)
        assert s.client.get_health_status()["statistics"]["unknownHits"] == 1
        await s.loop.sleep(1)
        assert await s.client.ready(60)
        assert collection not in s.server.server.collections
        assert s.client.get_health_status()["rebuild"]["completed"] == 2

    virtually(work, rows=300)


def test_of_records_that_are_equally_near_the_first_by_id_are_shown():
    same = np.repeat(QUERY[None, :], 30, axis=0)
    ids = [f"inc-{n:04}" for n in np.random.default_rng(1).permutation(30)]

    async def work(s):
        results = await s.client.search_by_vector(QUERY, 4)
        assert [r.id for r in results] == IDS[:4]

    virtually(work, records=InMemoryRecords(ids, same, embedder="toy-8"))


def test_a_time_limit_and_retries_of_ones_own_hold_for_that_call_alone():
    async def work(s):
        s.server.seconds = 2.0
        began = s.loop.time()
        with pytest.raises(Exception, match=r"within 0\.5 s"):
            await s.client.search_by_vector(QUERY, timeout=0.5, max_retries=0)
        assert s.loop.time() - began == pytest.approx(0.5, abs=0.01)
        assert len(await s.client.search_by_vector(QUERY)) == 10

    virtually(work)


def test_searches_with_a_time_limit_of_their_own_have_no_places_of_their_own():
    async def work(s):
        s.server.seconds, s.server.most = 1.0, 0
        await s.client.search_many(unit(9, seed=3), 3, timeout=20.0)
        assert s.server.most == 2

    virtually(work, options={"max_concurrent": 2})


def test_searches_with_a_time_limit_or_retries_of_their_own_are_counted_as_all_others():
    registry, telemetry = Registry(), Telemetry()
    observe(registry, telemetry)

    async def work(s):
        await s.client.search_by_vector(QUERY)
        await s.client.search_by_vector(QUERY, timeout=20.0)
        await s.client.search_by_vector(QUERY, max_retries=0)
        assert calls_of(telemetry, "dvecdb") == (3, 3)
        assert registry["dvecdb"]["retry"].snapshot().calls == 3

    virtually(work, registry=registry)


def test_a_limit_that_follows_the_latency_learns_nothing_from_a_call_with_a_time_of_its_own_and_does_not_cut_it():
    async def work(s):
        s.server.seconds = 3.0
        assert await s.client.search_by_vector(QUERY, timeout=20.0)
        assert s.client._lines.reads["adaptive_timeout"].snapshot().samples == 0

    virtually(work, options={"timeout": 2.0, "adaptive": AdaptiveTimeout(min_timeout=0.1, initial=0.5)})


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": float("nan")}, {"max_retries": -1}, {"max_retries": 1.5}], ids=str)
def test_a_time_limit_or_a_number_of_retries_that_is_none_is_refused(wrong):
    async def work(s):
        with pytest.raises(OptionsError):
            await s.client.search_by_vector(QUERY, **wrong)

    virtually(work)


def test_many_searches_at_once_keep_to_the_limit_and_all_are_answered():
    async def work(s):
        s.server.seconds, s.server.most = 0.1, 0
        queries = unit(40, seed=3)
        found = await s.client.search_many(queries, 3)
        assert [[hit.id for hit in hits] for hits in found] == [exact(VECTORS, query, IDS, 3) for query in queries]
        assert s.server.most == 5

    virtually(work, rows=300, options={"batch_concurrency": 5})


def test_of_many_searches_the_first_error_ends_the_others():
    async def work(s):
        s.server.seconds = 0.1
        s.client._keeper._standing.forget()
        with pytest.raises(IndexNotReady):
            await s.client.search_many(unit(40, seed=3), 3)
        assert s.server.running == 0

    virtually(work)
