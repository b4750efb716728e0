"""Values that a caller renews: before their end by chance, and in plain functions."""

import asyncio

import pytest

from sengol_api.resilience.cache.scope import cache_outcome
from sengol_api.resilience.cache.states import RefreshFailed, StaleServed
from sengol_api.resilience.testing import ManualClock, Script, after, run_virtual
from support.toolkit.stale import make


def test_a_plain_function_is_refreshed_by_the_caller_who_comes_first():
    clock = ManualClock()
    pipeline, cache, events = make(clock, stale_while_revalidate=30.0)
    inner = []

    def upstream(query):
        inner.append(pipeline.call_sync(Script("never").sync, query))  # another caller, while the first one refreshes
        return "new"

    assert pipeline.call_sync(Script("old").sync, "a") == "old"
    clock.advance(12.0)
    assert pipeline.call_sync(upstream, "a") == "new"
    assert inner == ["old"]
    assert [type(each) for each in events] == [StaleServed]
    clock.advance(12.0)
    assert pipeline.call_sync(Script(ValueError("no")).sync, "a") == "new"
    assert [type(each) for each in events] == [StaleServed, RefreshFailed, StaleServed]
    snapshot = cache.snapshot()
    assert (snapshot.refreshes, snapshot.refresh_failures, snapshot.stale_served, snapshot.in_flight) == (2, 1, 2, 0)
    with pytest.raises(KeyboardInterrupt):
        pipeline.call_sync(Script(KeyboardInterrupt()).sync, "a")
    assert cache.snapshot().in_flight == 0


def test_a_plain_function_that_fails_is_answered_by_a_stale_value():
    clock = ManualClock()
    pipeline, _, events = make(clock, stale_if_error=30.0)
    assert pipeline.call_sync(Script("old").sync, "a") == "old"
    clock.advance(12.0)
    error = ValueError("no")
    assert pipeline.call_sync(Script(error).sync, "a") == "old"
    assert events[0].error is error
    clock.advance(30.0)
    with pytest.raises(ValueError, match="no"):
        pipeline.call_sync(Script(error).sync, "a")


def test_one_of_many_callers_refreshes_before_the_end():
    async def main(loop):
        pipeline, cache, events = make(loop, early_refresh=1.0, ttl=100.0)
        upstream = Script(after(4.0, "old"), after(4.0, "new"))
        await pipeline.call(upstream, "a")
        assert await pipeline.call(upstream, "a") == "old"
        refreshed_at = None
        for _ in range(1_000):
            await asyncio.sleep(0.1)
            with cache_outcome() as outcome:
                await pipeline.call(upstream, "a")
            assert outcome.source == "fresh"
            if refreshed_at is None and len(upstream.calls) == 2:
                refreshed_at = outcome.age
        assert 60.0 < refreshed_at < 100.0
        assert len(upstream.calls) == 2
        assert cache.get("a") == "new"
        assert cache.snapshot().refreshes == 1
        assert events == []

    run_virtual(main)


def test_an_early_refresh_that_fails_harms_nobody():
    async def main(loop):
        pipeline, cache, events = make(loop, early_refresh=1000.0, ttl=100.0)
        upstream = Script(after(4.0, "old"), ValueError("no"))
        await pipeline.call(upstream, "a")
        assert await pipeline.call(upstream, "a") == "old"
        await asyncio.sleep(1.0)
        assert [type(each) for each in events] == [RefreshFailed]
        assert pipeline.call_sync(upstream.sync, "a") == "old"
        assert cache.snapshot().refresh_failures == 2

    run_virtual(main)


def test_without_beta_nothing_is_refreshed_early():
    async def main(loop):
        pipeline, _, _ = make(loop, ttl=100.0)
        upstream = Script(after(99.0, "old"), "new")
        await pipeline.call(upstream, "a")
        for _ in range(99):
            await asyncio.sleep(1.0)
            assert await pipeline.call(upstream, "a") == "old"
        assert len(upstream.calls) == 1

    run_virtual(main)
