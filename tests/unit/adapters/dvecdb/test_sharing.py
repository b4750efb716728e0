"""Answers that are kept and shared: what a key holds, who waits for whom, and what a stale answer is good for."""

import asyncio

import pytest

from sengol_api.adapters.dvecdb import IndexNotReady, ServerUnavailable
from sengol_api.adapters.dvecdb.lines import CACHE
from sengol_api.resilience import CacheSource, CircuitBreaker, InMemoryTier, cache_outcome, deadline
from sengol_api.review.errors import CircuitBreakerError, TimeoutError  # noqa: A004
from support.dvecdb.clients import Words, records_of, unit, until, virtually
from support.dvecdb.in_memory import InMemoryDvecdb, answering, hanging, refusing
from support.tiny_http import Reply

QUERY, OTHER = unit(2, seed=99)


def searches(server):
    return server.count("POST", "/search")


def cached(work, **more):
    virtually(work, **{"cache": CACHE, **more})


def test_the_same_search_again_is_answered_without_a_request():
    async def work(s):
        first = await s.client.search_by_vector(QUERY, 5, {"group": 1})
        with cache_outcome() as outcome:
            assert await s.client.search_by_vector(2 * QUERY, 5, {"group": [1]}) == first
        assert outcome.source is CacheSource.FRESH
        assert searches(s.server) == 1

    cached(work)


@pytest.mark.parametrize(
    "change", [{"vector": OTHER}, {"limit": 6}, {"filter": None}, {"filter": {"group": 2}}, {"filter": {"inc-0001"}}], ids=str
)
def test_whatever_changes_the_answer_is_another_search(change):
    async def work(s):
        asked = {"vector": QUERY, "limit": 5, "filter": {"group": 1}}
        await s.client.search_by_vector(**asked)
        before = await s.client.search_by_vector(**{**asked, **change})
        assert s.client.get_health_status()["statistics"]["cache"]["misses"] == 2
        assert before == await s.client.search_by_vector(**{**asked, **change})

    cached(work)


def test_another_version_of_the_records_is_another_search():
    async def work(s):
        await s.client.search_by_vector(QUERY, 3)
        written = await s.client.upsert([("new", QUERY)])
        assert written.indexed
        assert (await s.client.search_by_vector(QUERY, 3))[0].id == "new"
        await s.client.delete(["new"])
        assert (await s.client.search_by_vector(QUERY, 3))[0].id != "new"

    cached(work)


def test_a_caller_who_changes_the_vector_meanwhile_changes_no_answer():
    async def work(s):
        s.server.seconds = 1.0
        mine = QUERY.copy()
        task = asyncio.create_task(s.client.search_by_vector(mine, 5))
        await asyncio.sleep(0)
        mine[:] = OTHER
        assert await task == await s.client.search_by_vector(QUERY, 5, skip_cache=True)

    cached(work)


def test_identical_searches_at_the_same_time_are_one_request():
    async def work(s):
        s.server.seconds = 1.0
        results = await asyncio.gather(*(s.client.search_by_vector(QUERY, 5) for _ in range(50)))
        assert all(each == results[0] for each in results)
        assert searches(s.server) == 1

    cached(work)


def test_a_cancelled_caller_harms_nobody_else():
    async def work(s):
        s.server.seconds = 1.0
        tasks = [asyncio.create_task(s.client.search_by_vector(QUERY, 5)) for _ in range(5)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(len(each) == 5 for each in results[1:])
        assert searches(s.server) == 1

    cached(work)


@pytest.mark.parametrize("cache", [CACHE, None], ids=["cache", "no cache"])
def test_a_cancelled_search_leaves_nothing_behind(cache):
    async def work(s):
        s.server.seconds = 1.0
        for _ in range(50):
            task = asyncio.create_task(s.client.search_by_vector(QUERY, 5))
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.wait({task})
        await asyncio.sleep(0)
        assert s.server.running == 0
        assert s.client.get_health_status()["circuitBreaker"]["failureCount"] == 0
        assert s.client._lines.reads["bulkhead"].snapshot().in_flight == 0

    virtually(work, cache=cache)


def test_to_skip_the_cache_is_to_ask_the_server_and_to_keep_what_it_says():
    async def work(s):
        for _ in range(3):
            await s.client.search_by_vector(QUERY, 5, skip_cache=True)
        assert searches(s.server) == 3
        await s.client.search_by_vector(QUERY, 5)
        assert searches(s.server) == 3

    cached(work)


@pytest.mark.parametrize("fault", [refusing, answering(Reply(500))], ids=["refused", "500"])
def test_an_answer_that_is_old_serves_when_no_new_one_can_be_had(fault):
    async def work(s):
        fresh = await s.client.search_by_vector(QUERY, 5)
        await s.loop.sleep(3601)
        s.server.fault = fault
        for _ in range(8):  # first with attempts, then with an open breaker
            with cache_outcome() as outcome:
                assert await s.client.search_by_vector(QUERY, 5) == fresh
            assert outcome.source is CacheSource.STALE
        with pytest.raises((ServerUnavailable, CircuitBreakerError)):
            await s.client.search_by_vector(OTHER, 5)
        await s.loop.sleep(86_400)
        with pytest.raises((ServerUnavailable, CircuitBreakerError)):
            await s.client.search_by_vector(QUERY, 5)

    cached(work, options={"check_interval": 1e6})


def test_what_is_kept_serves_while_the_index_is_built_again():
    async def work(s):
        fresh = await s.client.search_by_vector(QUERY, 5)
        s.server.server.restart()
        s.server.seconds = 5.0
        with pytest.raises(IndexNotReady):
            await s.client.search_by_vector(OTHER, 5)
        assert await s.client.search_by_vector(QUERY, 5) == fresh

    cached(work)


def test_a_second_tier_serves_another_client_of_the_same_records():
    tier = InMemoryTier()
    server = InMemoryDvecdb()

    async def first(s):
        await s.client.search_by_vector(QUERY, 5, {"group": 1})
        await s.client.search_by_text("a question")
        await s.loop.sleep(1)

    async def second(s):
        await s.client.search_by_vector(QUERY, 5, {"group": 1})
        await s.client.search_by_text("a question")
        assert searches(s.server) == 0
        assert s.embedder.calls == []

    virtually(first, server=server, cache=CACHE.changed(tier=tier))
    virtually(second, server=server, cache=CACHE.changed(tier=tier))


def test_another_embedder_never_gets_what_the_tier_has():
    tier = InMemoryTier()
    server = InMemoryDvecdb()

    class Others(Words):
        name = "another"

    async def search(s):
        await s.client.search_by_vector(QUERY, 5)
        await s.loop.sleep(1)
        assert searches(s.server) == 1

    virtually(search, server=server, cache=CACHE.changed(tier=tier))
    others = records_of(40, embedder="another")
    virtually(search, server=server, cache=CACHE.changed(tier=tier), records=others, embed=Others())


# Deadlines ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [CACHE, None], ids=["cache", "no cache"])
def test_a_server_that_hangs_opens_the_breaker_though_callers_have_less_time_than_an_attempt(cache):
    async def work(s):
        s.server.fault = hanging
        for _ in range(5):
            began = s.loop.time()
            with pytest.raises(TimeoutError), deadline(2.0, clock=s.loop):
                await s.client.search_by_vector(QUERY, 5)
            assert s.loop.time() - began <= 2.0 * 1.02
        began = s.loop.time()
        with pytest.raises(CircuitBreakerError) as caught, deadline(2.0, clock=s.loop):
            await s.client.search_by_vector(QUERY, 5)
        assert s.loop.time() == began
        assert caught.value.retry_after == pytest.approx(60, abs=1)

    virtually(work, cache=cache, options={"breaker": CircuitBreaker(), "check_interval": 1e6})


def test_callers_in_a_hurry_do_not_open_the_breaker_for_the_others():
    async def work(s):
        s.server.seconds = 0.5
        for _ in range(20):
            with deadline(2.0, clock=s.loop):
                await s.loop.sleep(1.8)
                with pytest.raises(TimeoutError):
                    await s.client.search_by_vector(QUERY, 5)
        assert s.client.get_health_status()["circuitBreaker"]["state"] == "CLOSED"

    cached(work)


def test_who_has_more_time_than_the_one_who_began_the_call_gets_an_answer():
    async def work(s):
        s.server.seconds = 1.0

        async def ask(seconds):
            with deadline(seconds, clock=s.loop):
                return await s.client.search_by_vector(QUERY, 5)

        hurried = asyncio.create_task(ask(0.8))
        await asyncio.sleep(0.1)
        patient = asyncio.create_task(ask(10.0))
        with pytest.raises(TimeoutError):
            await hurried
        assert len(await patient) == 5
        assert searches(s.server) == 2

    cached(work)


def test_no_retry_goes_past_the_callers_deadline():
    async def work(s):
        s.server.fault = refusing
        began = s.loop.time()
        with pytest.raises(ServerUnavailable), deadline(1.5, clock=s.loop):
            await s.client.search_by_vector(QUERY, 5)
        assert s.loop.time() - began <= 1.5

    cached(work)


def test_a_search_of_many_tells_the_worst_of_its_sources():
    async def work(s):
        rows = unit(3, seed=99)
        await s.client.search_many(rows[:2], 5)
        await s.loop.sleep(3601)
        await s.client.search_many(rows[2:], 5)
        s.server.fault = refusing
        with cache_outcome() as outcome:
            await s.client.search_many(rows[[1, 2]], 5, max_retries=0)
        assert (outcome.source, round(outcome.age)) == (CacheSource.STALE, 3601)
        with cache_outcome() as outcome:
            await s.client.search_many(rows[2:], 5)
        assert outcome.source is CacheSource.FRESH

    cached(work, options={"check_interval": 1e6})


def test_an_entry_that_nobody_could_have_put_there_is_a_miss():
    tier = InMemoryTier()

    async def work(s):
        await s.client.search_by_vector(QUERY, 5)
        await s.loop.sleep(1)
        (key,) = tier.values
        value, end = tier.values[key]
        tier.values[key] = (value[:-3] + b"]]]", end)
        s.client._lines.cache["cache"]._shelf.entries.clear()
        assert len(await s.client.search_by_vector(QUERY, 5)) == 5
        assert searches(s.server) == 2

    virtually(work, cache=CACHE.changed(tier=tier))


def test_the_whole_of_a_dead_server_costs_no_request_once_the_breaker_is_open():
    async def work(s):
        s.server.fault = refusing
        for seed in range(5):
            with pytest.raises((ServerUnavailable, CircuitBreakerError)):
                await s.client.search_by_vector(unit(1, seed=seed)[0], 5, max_retries=0)
        sent = len(s.server.sent)
        for seed in range(200):
            with pytest.raises(CircuitBreakerError):
                await s.client.search_by_vector(unit(1, seed=seed)[0], 5)
        assert len(s.server.sent) == sent
        s.server.fault = None
        await until(lambda: s.client.get_health_status()["circuitBreaker"]["state"] == "CLOSED")
        assert len(await s.client.search_by_vector(QUERY, 5)) == 5

    cached(work, options={"breaker": CircuitBreaker()})
