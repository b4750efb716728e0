"""Each was seen in a released library. Each test says what happens here instead, through the public face alone."""

import asyncio
import gc

import pytest

from sengol_api.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpen,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    seconds_to_wait,
)
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.tasks import started
from support.toolkit.wrong_ways import fail


def test_an_inner_timeout_error_is_not_taken_for_ones_own():
    async def main(loop):
        pipeline = Pipeline("upstream", Timeout(5.0), clock=loop)
        own = TimeoutError("of a socket")
        with pytest.raises(TimeoutError) as raised:
            await pipeline.call(Script(after(1.0, own)))
        assert raised.value is own
        assert pipeline.snapshot()["timeout"].timed_out == 0

    run_virtual(main)


def test_a_timeout_of_0_2_s_cuts_an_attempt_of_1_s():
    async def main(loop):
        pipeline = Pipeline("upstream", Timeout(0.2), clock=loop)
        work, began = Script(after(1.0, "late")), loop.now()
        with pytest.raises(TimedOut):
            await pipeline.call(work)
        assert loop.now() - began == pytest.approx(0.2, rel=0.02)
        assert work.cancelled == 1

    run_virtual(main)


def test_a_timeout_of_ours_counts_as_one_failure():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(), Timeout(0.2), clock=loop)
        with pytest.raises(TimedOut):
            await pipeline.call(Script(hang))
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 1

    run_virtual(main)


def test_a_cancelled_waiter_leaks_no_capacity():
    async def main(loop):
        pipeline = Pipeline("upstream", Bulkhead(max_concurrent=1, max_queue=100), clock=loop)
        holder = await started(pipeline.call(Script(after(1.0))))
        waiters = [await started(pipeline.call(Script("turn"))) for _ in range(100)]
        for waiter in waiters[:99]:
            waiter.cancel()
        await holder
        assert await waiters[99] == "turn"
        snapshot = pipeline.snapshot()["bulkhead"]
        assert (snapshot.in_flight, snapshot.queued) == (0, 0)

    run_virtual(main)


def test_a_waiter_that_is_cancelled_as_it_is_handed_its_place_passes_it_on():
    async def main(loop):
        pipeline = Pipeline("upstream", Bulkhead(max_concurrent=1), clock=loop)

        async def hold_then_cancel_the_first():
            await pipeline.call(asyncio.sleep, 1.0)
            assert not first.done()  # its place was handed to it, but it has not run yet
            first.cancel()

        holder = await started(hold_then_cancel_the_first())
        first, second = [await started(pipeline.call(Script(name))) for name in ("first", "second")]
        await holder
        assert await second == "second"
        assert first.cancelled()
        assert pipeline.snapshot()["bulkhead"].in_flight == 0

    run_virtual(main)


def test_waiters_do_not_wake_in_a_storm():
    async def main(loop):
        pipeline = Pipeline("upstream", Bulkhead(max_concurrent=1, max_queue=1000), clock=loop)
        order = []

        async def turn(number):
            order.append(number)
            assert pipeline.snapshot()["bulkhead"].in_flight == 1
            await asyncio.sleep(0.001)

        await asyncio.gather(*(pipeline.call(turn, number) for number in range(1000)))
        assert order == list(range(1000))

    run_virtual(main)


def test_the_1024th_attempt_has_a_delay():
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(max_retries=1100, budget=None, jitter="none"), clock=clock)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError()).sync)
    assert len(clock.slept) == 1100
    assert clock.slept[-1] == 10.0


@pytest.mark.parametrize(
    ("hint", "slept"),
    [(-5, 1.0), (0, 1.0), (2.5, 2.5), ("3", 3.0), ("Fri, 15 Jan 2027 08:00:07 GMT", 7.0), (float("nan"), 1.0), ("soon", 1.0)],
)
def test_a_servers_wait_is_understood_in_all_its_forms(hint, slept):
    clock = ManualClock()  # at Fri, 15 Jan 2027 08:00:00 GMT
    pipeline = Pipeline("upstream", Retry(jitter="none"), clock=clock)
    error = ConnectionError()
    error.retry_after = hint
    assert pipeline.call_sync(Script(error, "well").sync) == "well"
    assert clock.slept[0] >= slept
    assert clock.slept[0] <= slept * 1.1 + 1e-6


@pytest.mark.parametrize(("hint", "seconds"), [("1500", 1.5), (250, 0.25), ("-20", 0.0), ("Fri, 15 Jan 2027 08:00:07 GMT", 7.0)])
def test_a_servers_wait_in_milliseconds_is_not_taken_for_seconds(hint, seconds):
    assert seconds_to_wait(hint, wall=ManualClock().wall(), unit=0.001) == pytest.approx(seconds)


@pytest.mark.parametrize("hint", [1e300, 10**400, float("inf"), "99999999999999999999"], ids=lambda hint: str(hint)[:8])
def test_a_huge_wait_is_neither_slept_nor_cut_short(hint):
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(), clock=clock)
    error = ConnectionError()
    error.retry_after = hint
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(error, "well").sync)
    assert clock.slept == []


def test_retries_inside_of_retries_do_not_multiply():
    async def main(loop):
        inner = Pipeline("inner", Retry(max_retries=3), clock=loop)
        outer = Pipeline("outer", Retry(max_retries=2), clock=loop)
        upstream = Script(ConnectionError())
        with pytest.raises(ConnectionError):
            await outer.call(inner.call, upstream)
        assert len(upstream.calls) == 4

    run_virtual(main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_predicate_or_a_listener_that_raises_leaks_nothing():
    def broken(_):
        raise RuntimeError("bug in a callback")

    async def main(loop):
        pipeline = Pipeline(
            "upstream",
            Retry(retry_on=broken),
            CircuitBreaker(failure_threshold=2, failure_on=broken, max_probes=1),
            Bulkhead(max_concurrent=1, max_queue=0),
            clock=loop,
        )
        pipeline.subscribe(broken)
        await fail(pipeline, 2)
        with pytest.raises(CircuitOpen):
            await pipeline.call(Script("well"))
        await asyncio.sleep(61)
        assert await pipeline.call(Script("well")) == "well"
        assert pipeline.snapshot()["bulkhead"].in_flight == 0

    run_virtual(main)
    gc.collect()


def test_a_pipeline_serves_two_event_loops_in_a_row():
    pipeline = Pipeline("upstream", Retry(), CircuitBreaker(), Bulkhead(max_concurrent=1), Timeout(5.0))

    async def main():
        return await asyncio.gather(*(pipeline.call(asyncio.sleep, 0, number) for number in range(10)))

    assert asyncio.run(main()) == list(range(10))
    assert asyncio.run(main()) == list(range(10))
