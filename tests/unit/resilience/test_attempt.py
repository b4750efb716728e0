"""One attempt: cut in time, by nobody else's clock, and whatever else happens to its task at the same moment."""

import asyncio
import gc

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, Pipeline, Retry, TimedOut, Timeout, deadline
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.attempts import armed, limited


def test_an_attempt_of_one_second_does_not_finish_under_a_limit_of_a_fifth():
    async def main(loop):
        upstream = Script(after(1.0, "late"))
        started = loop.time()
        with pytest.raises(TimedOut) as cut:
            await limited(loop, 0.2).call(upstream)
        assert 0.2 <= loop.time() - started <= 0.202
        assert upstream.cancelled == 1
        assert isinstance(cut.value.__cause__, asyncio.CancelledError)
        assert (cut.value.name, cut.value.policy, cut.value.limit, cut.value.by_deadline) == ("search", "timeout", 0.2, False)
        assert armed() == 0

    run_virtual(main)


def test_an_attempt_within_its_limit_gives_its_result_and_leaves_nothing_behind():
    async def main(loop):
        pipeline = limited(loop)
        assert await pipeline.call(Script(after(0.99, "in time"))) == "in time"
        assert await pipeline.call(Script("at once")) == "at once"
        assert armed() == 0
        await asyncio.sleep(10)

    run_virtual(main)


def test_an_error_of_the_work_comes_out_as_the_same_object():
    async def main(loop):
        pipeline = limited(loop)
        for step in (ValueError("bad"), after(0.5, KeyError("worse"))):
            with pytest.raises((ValueError, KeyError)) as error:
                await pipeline.call(Script(step))
            assert error.value is getattr(step, "outcome", step)
        assert armed() == 0

    run_virtual(main)


def test_a_timeout_error_of_the_work_is_not_taken_for_ones_own():
    async def main(loop):
        pipeline = limited(loop)

        async def inner_timeout():
            async with asyncio.timeout(0.5):
                await asyncio.sleep(10)

        for upstream in (Script(TimeoutError("inner")), Script(after(0.5, TimeoutError("inner"))), inner_timeout):
            with pytest.raises(TimeoutError) as error:
                await pipeline.call(upstream)
            assert not isinstance(error.value, TimedOut)
        assert pipeline.snapshot()["timeout"].timed_out == 0

    run_virtual(main)


def test_an_inner_timeout_at_the_very_moment_of_our_own_is_ours():
    async def main(loop):
        async def inner_timeout():
            async with asyncio.timeout(1.0):
                await asyncio.sleep(10)

        pipeline = limited(loop, 1.0)
        with pytest.raises(TimeoutError):
            await pipeline.call(inner_timeout)
        assert asyncio.current_task().cancelling() == 0
        assert armed() == 0

    run_virtual(main)


def test_an_outer_timeout_that_comes_first_passes_through_and_counts_nowhere():
    async def main(loop):
        pipeline = limited(loop, 5.0, CircuitBreaker())
        with pytest.raises(TimeoutError) as error:
            async with asyncio.timeout(1.0):
                await pipeline.call(Script(hang))
        assert not isinstance(error.value, TimedOut)
        assert pipeline.snapshot()["timeout"].timed_out == 0
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 0
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)


def test_an_outer_timeout_at_the_very_moment_of_ours_wins():
    async def main(loop):
        pipeline = limited(loop, 1.0)
        with pytest.raises(TimeoutError) as error:
            async with asyncio.timeout(1.0):
                await pipeline.call(Script(hang))
        assert not isinstance(error.value, TimedOut)
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)


def test_a_cut_counts_once_and_is_a_failure():
    async def main(loop):
        pipeline = limited(loop, 1.0, CircuitBreaker())
        with pytest.raises(TimedOut):
            await pipeline.call(Script(hang))
        assert pipeline.snapshot()["timeout"].timed_out == 1
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 1

    run_virtual(main)


def test_of_nested_calls_that_end_at_one_deadline_the_innermost_is_cut_and_counts():
    async def main(loop):
        inner = limited(loop, 60.0, CircuitBreaker())
        outer = Pipeline("review", CircuitBreaker(), Timeout(60.0), clock=loop)
        with pytest.raises(TimedOut) as cut, deadline(2.0, clock=loop):
            await outer.call(inner.call, Script(hang))
        assert (cut.value.name, cut.value.by_deadline) == ("search", True)
        assert inner.snapshot()["timeout"].timed_out == 1
        assert inner.snapshot()["circuit_breaker"].failure_count == 1
        assert outer.snapshot()["timeout"].timed_out == 0
        assert asyncio.current_task().cancelling() == 0
        assert armed() == 0

    run_virtual(main)


def test_an_outer_attempt_that_goes_on_after_an_inner_one_was_cut_at_the_same_moment_is_cut_too():
    async def main(loop):
        inner, outer = limited(loop, 1.0), limited(loop, 1.0)

        async def goes_on():
            with pytest.raises(TimedOut):
                await inner.call(Script(hang))
            await asyncio.get_running_loop().create_future()

        started = loop.time()
        with pytest.raises(TimedOut):
            await outer.call(goes_on)
        assert loop.time() - started <= 1.02
        assert outer.snapshot()["timeout"].timed_out == inner.snapshot()["timeout"].timed_out == 1

    run_virtual(main)


def test_work_that_used_up_its_time_before_it_first_waited_is_cut_when_it_waits():
    async def main(loop):
        async def busy():
            loop.jump(5.0)  # a computation in the loop's thread
            await asyncio.sleep(1.0)

        started = loop.time()
        with pytest.raises(TimedOut) as cut:
            await limited(loop, 2.0).call(busy)
        assert 5.0 <= loop.time() - started < 5.01
        assert cut.value.limit == 2.0

    run_virtual(main)


def test_work_that_never_waits_needs_no_event_loop_and_no_timer():
    clock = ManualClock()
    pipeline = Pipeline("search", Retry(), CircuitBreaker(), Bulkhead(), Timeout(1.0), clock=clock)
    call = pipeline.call(Script("well"))
    with pytest.raises(StopIteration) as end:
        call.send(None)
    assert end.value.value == "well"


def test_work_that_waits_in_no_task_is_closed_and_told_what_is_missing():
    async def main(loop):
        closed = []

        async def waits():
            try:
                await asyncio.sleep(1)
            finally:
                closed.append(True)

        ended = loop.create_future()

        def by_hand():
            try:
                limited(loop).call(waits).send(None)
            except RuntimeError as error:
                ended.set_result(str(error))

        loop.call_soon(by_hand)
        assert "needs a running task" in await ended
        assert closed == [True]

    run_virtual(main)


def test_a_half_run_call_that_is_closed_closes_its_work_and_gives_all_back():
    async def main(loop):
        closed = []

        async def waits():
            try:
                await asyncio.sleep(1)
            except GeneratorExit:
                closed.append("closed")
                raise

        pipeline = limited(loop, 1.0, CircuitBreaker(), Bulkhead(max_concurrent=1))
        for close in (lambda call: call.close(), lambda call: None):
            call = pipeline.call(waits)
            call.send(None)
            assert pipeline.snapshot()["bulkhead"].in_flight == 1
            close(call)
            del call
            gc.collect()
        assert closed == ["closed", "closed"]
        assert pipeline.snapshot()["bulkhead"].in_flight == 0
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 0
        assert armed() == 0

    run_virtual(main)
