"""Values past their time: served while a new one is made, or when none can be."""

import asyncio
import gc
import weakref

import pytest

from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.cache.scope import cache_outcome
from sengol_api.resilience.cache.states import RefreshFailed, StaleServed
from sengol_api.resilience.deadline import deadline, remaining
from sengol_api.resilience.errors import CircuitOpen, DeadlineExceeded
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from support.toolkit.stale import make


def test_a_stale_value_is_served_at_once_and_renewed_once_in_the_background():
    async def main(loop):
        pipeline, cache, events = make(loop, stale_while_revalidate=30.0)
        upstream = Script("old", after(5.0, "new"))
        await pipeline.call(upstream, "a")
        await asyncio.sleep(12.0)
        before = loop.now()
        assert await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(10))) == ["old"] * 10
        assert await pipeline.call(upstream, "a") == "old"
        assert loop.now() == before
        assert len(upstream.calls) == 2
        await asyncio.sleep(5.1)
        assert await pipeline.call(upstream, "a") == "new"
        assert [(type(each), each.key, each.error) for each in events] == [(StaleServed, "a", None)] * 11
        assert events[0].age == pytest.approx(12.0)
        snapshot = cache.snapshot()
        assert (snapshot.stale_served, snapshot.refreshes, snapshot.hits, snapshot.misses) == (11, 1, 1, 1)

    run_virtual(main)


def test_past_its_window_a_stale_value_is_not_served():
    async def main(loop):
        pipeline, cache, _ = make(loop, stale_while_revalidate=30.0)
        upstream = Script("old", "new")
        await pipeline.call(upstream, "a")
        await asyncio.sleep(40.0)
        assert await pipeline.call(upstream, "a") == "new"
        assert cache.snapshot().expirations == 1

    run_virtual(main)


def test_a_refresh_that_fails_keeps_the_stale_value_and_tells():
    async def main(loop):
        pipeline, cache, events = make(loop, stale_while_revalidate=30.0)
        upstream = Script("old", after(1.0, ValueError("no")), after(1.0, "new"))
        await pipeline.call(upstream, "a")
        await asyncio.sleep(12.0)
        assert await pipeline.call(upstream, "a") == "old"
        await asyncio.sleep(2.0)
        assert [type(each) for each in events] == [StaleServed, RefreshFailed]
        assert (events[1].key, str(events[1].error)) == ("a", "no")
        assert await pipeline.call(upstream, "a") == "old"
        await asyncio.sleep(2.0)
        assert await pipeline.call(upstream, "a") == "new"
        assert cache.snapshot().refresh_failures == 1

    run_virtual(main)


def test_a_background_refresh_is_not_bound_by_the_callers_deadline_nor_by_its_cancellation():
    async def main(loop):
        pipeline, _, _ = make(loop, stale_while_revalidate=30.0)
        seen = []

        async def upstream(query):
            seen.append(remaining())
            await asyncio.sleep(5.0)
            return "new"

        await pipeline.call(Script("old"), "a")
        await asyncio.sleep(12.0)

        async def caller():
            with deadline(1.0, clock=loop):
                await pipeline.call(upstream, "a")
                await asyncio.sleep(100.0)

        task = asyncio.create_task(caller())
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.sleep(6.0)
        assert seen == [None]
        assert await pipeline.call(Script("never"), "a") == "new"

    run_virtual(main)


def test_a_call_past_the_window_joins_a_refresh_that_is_under_way():
    async def main(loop):
        pipeline, _, _ = make(loop, stale_while_revalidate=5.0)
        upstream = Script("old", after(8.0, "new"))
        await pipeline.call(upstream, "a")
        await asyncio.sleep(12.0)
        assert await pipeline.call(upstream, "a") == "old"
        await asyncio.sleep(4.0)
        impatient = asyncio.create_task(pipeline.call(upstream, "a"))
        await asyncio.sleep(0.1)
        impatient.cancel()
        await asyncio.sleep(0.1)
        with cache_outcome() as outcome:
            assert await pipeline.call(upstream, "a") == "new"
        assert outcome.source == "coalesced"
        assert (len(upstream.calls), upstream.cancelled) == (2, 0)

    run_virtual(main)


def test_an_invalidated_value_is_not_brought_back_by_a_refresh():
    async def main(loop):
        pipeline, cache, _ = make(loop, stale_while_revalidate=30.0)
        upstream = Script("old", after(5.0, "from before"), "new")
        await pipeline.call(upstream, "a")
        await asyncio.sleep(12.0)
        await pipeline.call(upstream, "a")
        cache.invalidate("a")
        await asyncio.sleep(6.0)
        assert cache.get("a") is None
        assert await pipeline.call(upstream, "a") == "new"

    run_virtual(main)


def test_when_the_call_fails_a_stale_value_inside_its_window_is_served():
    async def main(loop):
        pipeline, cache, events = make(loop, stale_if_error=60.0)
        error = ConnectionError("down")
        upstream = Script("old", after(1.0, error), after(1.0, error), "new")
        await pipeline.call(upstream, "a")
        await asyncio.sleep(20.0)
        with cache_outcome() as outcome:
            assert await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(3))) == ["old"] * 3
        assert (outcome.source, outcome.age) == ("stale", pytest.approx(21.0))
        assert [each.error for each in events] == [error] * 3
        assert cache.snapshot().stale_served == 3
        await asyncio.sleep(60.0)
        with pytest.raises(ConnectionError):
            await pipeline.call(upstream, "a")
        assert await pipeline.call(upstream, "a") == "new"

    run_virtual(main)


def test_an_error_that_comes_after_the_window_is_an_error():
    async def main(loop):
        pipeline, _, _ = make(loop, stale_if_error=60.0)
        upstream = Script("old", after(40.0, ConnectionError("down")))
        await pipeline.call(upstream, "a")
        await asyncio.sleep(50.0)
        with pytest.raises(ConnectionError):
            await pipeline.call(upstream, "a")

    run_virtual(main)


def test_a_refresh_in_the_background_tells_nobody_where_its_values_came_from():
    async def main(loop):
        outer, _, _ = make(loop, stale_while_revalidate=30.0)
        inner, _, _ = make(loop)
        await outer.call(Script("old"), "a")
        await asyncio.sleep(12.0)

        async def upstream(query):
            return await inner.call(Script("new"), query)

        with cache_outcome() as outcome:
            assert await outer.call(upstream, "a") == "old"
            await asyncio.sleep(1.0)
            assert outcome.source == "stale"

    run_virtual(main)


def test_a_refresh_that_nobody_waits_for_is_not_collected_in_the_middle():
    async def main(loop):
        pipeline, cache, _ = make(loop, stale_while_revalidate=30.0)
        await pipeline.call(Script("old"), "a")
        await asyncio.sleep(12.0)
        waits_for = []

        async def upstream(query):
            future = loop.create_future()
            waits_for.append(weakref.ref(future))
            await future

        await pipeline.call(upstream, "a")
        await asyncio.sleep(0.1)
        cache.clear()
        gc.collect()
        assert waits_for[0]() is not None

    run_virtual(main)


def test_a_rejection_from_further_inside_is_answered_by_a_stale_value():
    async def main(loop):
        pipeline, _, events = make(loop, CircuitBreaker(), stale_if_error=60.0)
        await pipeline.call(Script("old"), "a")
        await asyncio.sleep(20.0)
        pipeline["circuit_breaker"].isolate()
        assert await pipeline.call(Script("never"), "a") == "old"
        assert isinstance(events[0].error, CircuitOpen)
        assert pipeline.call_sync(Script("never").sync, "a") == "old"
        with pytest.raises(CircuitOpen):
            await pipeline.call(Script("never"), "b")

    run_virtual(main)


def test_a_caller_whose_time_is_over_gets_a_stale_value_rather_than_nothing():
    async def main(loop):
        pipeline, _, _ = make(loop, stale_if_error=60.0)
        await pipeline.call(Script("old"), "a")
        await asyncio.sleep(20.0)
        with deadline(1.0, clock=loop):
            assert await pipeline.call(Script(hang), "a") == "old"
        with deadline(0.0, clock=loop):
            assert await pipeline.call(Script("never"), "a") == "old"
        with deadline(0.0, clock=loop), pytest.raises(DeadlineExceeded):
            await pipeline.call(Script("never"), "b")

    run_virtual(main)


def test_without_its_window_an_error_is_an_error():
    async def main(loop):
        pipeline, cache, _ = make(loop, stale_while_revalidate=5.0)

        async def upstream(query):
            cache.put("a", "meanwhile")
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await pipeline.call(upstream, "a")

    run_virtual(main)


def test_a_cancelled_call_is_not_answered_with_a_stale_value():
    async def main(loop):
        pipeline, _, events = make(loop, stale_if_error=60.0)
        await pipeline.call(Script("old"), "a")
        await asyncio.sleep(20.0)
        call = asyncio.create_task(pipeline.call(Script(hang), "a"))
        await asyncio.sleep(1.0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert events == []

    run_virtual(main)
