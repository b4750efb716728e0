"""Each was seen in a released circuit breaker. Each test says what happens here instead, through the public face alone."""

import asyncio
import threading

import pytest

from sengol_api.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpen,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    deadline,
)
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.tasks import started
from support.toolkit.wrong_ways import fail


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


def test_a_window_forgets_without_a_new_call():
    clock = ManualClock()
    pipeline = Pipeline("upstream", CircuitBreaker(window=10.0), clock=clock)
    for _ in range(4):
        with pytest.raises(ConnectionError):
            pipeline.call_sync(Script(ConnectionError()).sync)
    assert pipeline.snapshot()["circuit_breaker"].recent_failures == 4
    clock.advance(10.1)
    assert pipeline.snapshot()["circuit_breaker"].recent_failures == 0


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
