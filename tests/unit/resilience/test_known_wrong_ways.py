"""Each was seen in a released library. Each test says what happens here instead, through the public face alone."""

import asyncio
import contextlib
import gc
import threading

import pytest

from sengol_api.resilience import (
    AdaptiveLimit,
    AdaptiveTimeout,
    Aimd,
    Bulkhead,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    Fallback,
    Gradient2,
    Hedge,
    Overloaded,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    Vegas,
    deadline,
    fallback_errors,
    seconds_to_wait,
)
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual


async def fail(pipeline, times):
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError()))


async def started(work):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def cancelled(work):
    task = await started(work)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def breaker(clock, **options):
    return Pipeline("upstream", CircuitBreaker(**{"failure_threshold": 3, "success_threshold": 1, **options}), clock=clock)


def test_a_cancelled_call_does_not_open_the_breaker():
    async def main(loop):
        pipeline = breaker(loop)
        for _ in range(50):
            await cancelled(pipeline.call(Script(hang)))
        assert pipeline.snapshot()["circuit_breaker"].state == "CLOSED"
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 0

    run_virtual(main)


def test_a_cancelled_probe_does_not_close_the_breaker_and_gives_its_slot_back():
    async def main(loop):
        pipeline = breaker(loop, max_probes=1)
        await fail(pipeline, 3)
        await asyncio.sleep(61)
        await cancelled(pipeline.call(Script(hang)))
        assert pipeline.snapshot()["circuit_breaker"].state == "HALF_OPEN"
        assert pipeline.snapshot()["circuit_breaker"].probes == 0
        assert await pipeline.call(Script("well")) == "well"
        assert pipeline.snapshot()["circuit_breaker"].state == "CLOSED"

    run_virtual(main)


def test_a_probe_that_was_rejected_further_inside_gives_its_slot_back():
    async def main(loop):
        inner = Pipeline("inner", CircuitBreaker(), clock=loop)
        inner["circuit_breaker"].isolate()
        pipeline = breaker(loop, max_probes=1)
        await fail(pipeline, 3)
        await asyncio.sleep(61)
        for _ in range(3):
            with pytest.raises(CircuitOpen) as refused:
                await pipeline.call(inner.call, Script("well"))
            assert refused.value.name == "inner"
        assert await pipeline.call(Script("well")) == "well"

    run_virtual(main)


def test_of_50_concurrent_calls_only_the_probes_pass_a_half_open_breaker():
    async def main(loop):
        pipeline = breaker(loop, max_probes=2, success_threshold=2)
        await fail(pipeline, 3)
        await asyncio.sleep(61)
        upstream = Script(after(1.0, "well"))
        answers = await asyncio.gather(*(pipeline.call(upstream) for _ in range(50)), return_exceptions=True)
        assert len(upstream.calls) == 2
        assert sum(isinstance(answer, CircuitOpen) for answer in answers) == 48

    run_virtual(main)


def test_a_late_success_from_before_the_opening_does_not_close_the_circuit():
    async def main(loop):
        pipeline = breaker(loop)
        late = [await started(pipeline.call(Script(after(seconds, "late")))) for seconds in (10, 65)]
        await fail(pipeline, 3)
        await asyncio.sleep(61)
        probe = await started(pipeline.call(Script(hang)))
        await asyncio.gather(*late)
        assert pipeline.snapshot()["circuit_breaker"].state == "HALF_OPEN"
        assert pipeline.snapshot()["circuit_breaker"].success_count == 0
        probe.cancel()

    run_virtual(main)


def test_a_probe_that_never_returns_does_not_wedge_half_open():
    async def main(loop):
        pipeline = breaker(loop, max_probes=1, probe_timeout=30.0)
        await fail(pipeline, 3)
        await asyncio.sleep(61)
        hung = await started(pipeline.call(Script(hang)))
        await asyncio.sleep(31)
        with pytest.raises(CircuitOpen):
            await pipeline.call(Script("well"))
        assert pipeline.snapshot()["circuit_breaker"].state == "OPEN"
        await asyncio.sleep(61)
        assert await pipeline.call(Script("well")) == "well"
        hung.cancel()

    run_virtual(main)


def test_a_decorated_coroutine_function_trips_the_breaker():
    async def main(loop):
        pipeline = breaker(loop)

        @pipeline
        async def query():
            raise ConnectionError

        for _ in range(3):
            with pytest.raises(ConnectionError):
                await query()
        with pytest.raises(CircuitOpen):
            await query()

    run_virtual(main)


def test_no_lock_is_held_during_a_call():
    pipeline = Pipeline("upstream", Retry(), CircuitBreaker(slow_call=1.0), Bulkhead(max_concurrent=8), Timeout(5.0))
    together = threading.Barrier(8)  # broken, unless all eight are inside at the same time
    threads = [threading.Thread(target=pipeline.call_sync, args=(together.wait, 120)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.broken
    assert pipeline.snapshot()["circuit_breaker"].success_count == 8


def test_each_rejection_is_an_error_of_its_own_and_its_traceback_does_not_grow():
    pipeline = Pipeline("upstream", CircuitBreaker())
    pipeline["circuit_breaker"].isolate()
    seen, depths = set(), set()
    errors = []
    for _ in range(100):
        with pytest.raises(CircuitOpen) as refused:
            pipeline.call_sync(int)
        errors.append(refused.value)
        seen.add(id(refused.value))
        depth, trace = 0, refused.value.__traceback__
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        depths.add(depth)
    assert len(seen) == 100
    assert len(depths) == 1


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


def test_a_window_forgets_without_a_new_call():
    clock = ManualClock()
    pipeline = Pipeline("upstream", CircuitBreaker(window=10.0), clock=clock)
    for _ in range(4):
        with pytest.raises(ConnectionError):
            pipeline.call_sync(Script(ConnectionError()).sync)
    assert pipeline.snapshot()["circuit_breaker"].recent_failures == 4
    clock.advance(10.1)
    assert pipeline.snapshot()["circuit_breaker"].recent_failures == 0


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


def test_a_cancelled_leader_of_a_coalesced_call_harms_no_follower():
    async def main(loop):
        pipeline = Pipeline("upstream", Cache(key=lambda: "same"), clock=loop)
        upstream = Script(after(1.0, "answer"))
        leader, *followers = [await started(pipeline.call(upstream)) for _ in range(10)]
        await asyncio.sleep(0.5)
        leader.cancel()
        assert await asyncio.gather(*followers) == ["answer"] * 9
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_a_failed_call_is_not_kept_and_its_error_is_not_reported_as_unretrieved():
    reported = []

    async def main(loop):
        loop.set_exception_handler(lambda _, context: reported.append(context))
        pipeline = Pipeline("upstream", Cache(key=lambda: "same"), clock=loop)
        waiters = [await started(pipeline.call(Script(after(1.0, ConnectionError())))) for _ in range(3)]
        await asyncio.sleep(0.5)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.sleep(2.0)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError()))
        assert await pipeline.call(Script("answer")) == "answer"

    run_virtual(main)
    gc.collect()
    assert reported == []


def test_a_spent_budget_does_not_kill_the_original_of_a_hedge():
    async def main(loop):
        pipeline = Pipeline("upstream", Hedge(idempotent=True, delay=0.1, budget=0.0), clock=loop)
        upstream = Script(after(1.0, "slow"))
        assert await pipeline.call(upstream) == "slow"
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_a_cancelled_loser_of_a_hedge_is_not_counted_as_a_success():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", Hedge(idempotent=True, delay=0.1, budget=1.0), AdaptiveLimit(), CircuitBreaker(), clock=loop
        )
        for _ in range(5):
            upstream = Script(after(9.0, "slow"), after(0.1, "fast"))
            assert await pipeline.call(Script("quick")) == "quick"
            assert await pipeline.call(upstream) == "fast"
            assert upstream.cancelled == 1
        assert pipeline.snapshot()["circuit_breaker"].success_count == 10
        assert pipeline.snapshot()["adaptive_limit"].in_flight == 0

    run_virtual(main)


def test_an_adaptive_timeout_widens_again_after_a_step_of_the_latency():
    async def main(loop):
        pipeline = Pipeline("upstream", AdaptiveTimeout(min_timeout=0.1, window=60.0), clock=loop)
        for _ in range(200):
            await pipeline.call(asyncio.sleep, 0.05)
        assert pipeline.snapshot()["adaptive_timeout"].limit < 0.2
        cut = 0
        for _ in range(200):
            try:
                await pipeline.call(asyncio.sleep, 2.0)
            except TimedOut:
                cut += 1
        assert pipeline.snapshot()["adaptive_timeout"].limit > 2.0
        assert cut < 50

    run_virtual(main)


@pytest.mark.parametrize("algorithm", [Gradient2(), Vegas(), Aimd(max_latency=0.2)], ids=lambda each: type(each).__name__)
def test_a_limit_comes_to_rest_under_a_steady_overload(algorithm):
    """Ten workers of 0.1 s, and three times as many calls as they can do: Gradient2 as published drifts to its maximum here."""

    async def main(loop):
        workers = asyncio.Semaphore(10)
        pipeline = Pipeline("upstream", AdaptiveLimit(algorithm=algorithm, max_limit=1000), clock=loop)
        limits = []

        async def work():
            async with workers:
                await asyncio.sleep(0.1)

        async def ask():
            with contextlib.suppress(Overloaded):
                await pipeline.call(work)

        async with asyncio.TaskGroup() as callers:
            for second in range(120):
                for _ in range(300):
                    callers.create_task(ask())
                    await asyncio.sleep(1 / 300)
                if second >= 60:
                    limits.append(pipeline.snapshot()["adaptive_limit"].limit)
        assert max(limits) <= 40

    run_virtual(main)


def test_a_constant_timeout_time_does_not_grow_the_limit():
    async def main(loop):
        pipeline = Pipeline("upstream", AdaptiveLimit(initial=50), Timeout(1.0), clock=loop)
        for _ in range(60):
            calls = [pipeline.call(Script(hang)) for _ in range(50)]
            await asyncio.gather(*calls, return_exceptions=True)
        assert pipeline.snapshot()["adaptive_limit"].limit < 10

    run_virtual(main)


def test_a_fallback_that_raises_leaks_nothing():
    def broken():
        raise RuntimeError("bug in an alternative")

    async def main(loop):
        pipeline = Pipeline("upstream", Bulkhead(max_concurrent=1, max_queue=0), Fallback({"broken": broken}), clock=loop)
        for _ in range(3):
            with pytest.raises(ConnectionError) as raised:
                await pipeline.call(Script(ConnectionError()))
            assert isinstance(fallback_errors(raised.value)["broken"], RuntimeError)
        assert pipeline.snapshot()["bulkhead"].in_flight == 0

    run_virtual(main)


def test_a_probe_of_a_caller_in_a_hurry_gives_its_slot_back():
    async def main(loop):
        pipeline = breaker(loop, max_probes=1)
        await fail(pipeline, 3)
        await asyncio.sleep(61)
        with deadline(1.0, clock=loop):
            await asyncio.sleep(0.9)
            with pytest.raises(TimedOut):
                await pipeline.call(Script(hang))
        assert pipeline.snapshot()["circuit_breaker"].state == "HALF_OPEN"
        assert await pipeline.call(Script("well")) == "well"
        assert pipeline.snapshot()["circuit_breaker"].state == "CLOSED"

    run_virtual(main)


def test_callers_in_a_hurry_do_not_open_the_circuit_for_the_others():
    async def main(loop):
        pipeline = breaker(loop)
        for _ in range(10):
            with deadline(1.0, clock=loop):
                await asyncio.sleep(0.9)
                with pytest.raises(TimedOut) as cut:
                    await pipeline.call(Script(after(0.5, "well")))
                assert cut.value.hurried
        assert pipeline.snapshot()["circuit_breaker"].state == "CLOSED"
        for _ in range(3):
            with deadline(1.0, clock=loop), pytest.raises(TimedOut) as cut:
                await pipeline.call(Script(hang))
            assert not cut.value.hurried
        assert pipeline.snapshot()["circuit_breaker"].state == "OPEN"

    run_virtual(main)
