"""One budget of time for all that is done inside of a block."""

import asyncio
import math

import pytest

from sengol_api.resilience import DeadlineExceeded, OptionsError, Pipeline, TimedOut, Timeout, deadline, remaining
from sengol_api.resilience.deadline import current, time_left
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.toolkit.tasks import forever


def test_without_a_deadline_nothing_is_bound():
    assert current() is None
    assert remaining() is None
    assert time_left("search", "timeout") is None


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf, True, "2", 10**400, [2]])
def test_a_deadline_takes_seconds_from_zero_on_or_none(seconds):
    with pytest.raises(OptionsError) as refused:
        deadline(seconds)
    assert str(refused.value) == (
        f"deadline: seconds={seconds!r} is not allowed, it takes a number of at least 0, or None"
    )  # fmt: skip


def test_what_is_left_shrinks_with_the_time_and_is_never_negative():
    clock = ManualClock()
    with deadline(2.0, clock=clock) as limit:
        assert remaining() == limit.remaining() == 2.0
        clock.advance(1.5)
        assert remaining() == 0.5
        clock.advance(5)
        assert remaining() == 0.0
        with pytest.raises(DeadlineExceeded) as refused:
            time_left("search", "timeout")
        assert (refused.value.name, refused.value.policy) == ("search", "timeout")
    assert remaining() is None


def test_a_step_of_the_wall_clock_changes_no_deadline():
    clock = ManualClock()
    with deadline(2.0, clock=clock):
        clock.step_wall(86_400)
        assert remaining() == 2.0


def test_of_nested_deadlines_the_earliest_holds():
    clock = ManualClock()
    with deadline(2.0, clock=clock):
        with deadline(5.0, clock=clock):
            assert remaining() == 2.0
        with deadline(1.0, clock=clock):
            assert remaining() == 1.0
            with deadline(3.0, clock=clock):
                assert remaining() == 1.0
        clock.advance(1.5)
        assert remaining() == 0.5


def test_nested_deadlines_may_have_clocks_of_their_own():
    one, other = ManualClock(now=10.0), ManualClock(now=5000.0)
    with deadline(2.0, clock=one), deadline(5.0, clock=other):
        assert remaining() == 2.0
        other.advance(0.5)
        assert remaining() == 1.5


def test_one_object_serves_several_blocks_one_after_the_other():
    clock = ManualClock()
    limit = deadline(2.0, clock=clock)
    for _ in range(3):
        with limit:
            assert remaining() == 2.0
            clock.advance(1.0)
        assert remaining() is None


def test_one_object_cannot_serve_two_blocks_at_once():
    limit = deadline(2.0)
    with limit, pytest.raises(RuntimeError, match="build one for each block"), limit:
        raise AssertionError
    assert current() is None


def test_a_plain_await_is_cut_soon_after_its_time_and_the_block_says_so():
    async def main(loop):
        started = loop.time()
        with pytest.raises(TimedOut) as cut, deadline(2.0, clock=loop):
            await forever()
        assert 2.0 <= loop.time() - started <= 2.05
        assert (cut.value.name, cut.value.limit, cut.value.by_deadline) == ("deadline", 2.0, True)
        assert isinstance(cut.value.__cause__, asyncio.CancelledError)
        assert asyncio.current_task().cancelling() == 0
        assert current() is None
        await asyncio.sleep(10)  # nothing cuts any more

    run_virtual(main)


def test_work_that_ends_in_time_is_left_alone():
    async def main(loop):
        with deadline(2.0, clock=loop):
            await asyncio.sleep(1.9)
        await asyncio.sleep(10)

    run_virtual(main)


def test_a_deadline_of_zero_lets_nothing_start_and_nothing_wait():
    async def main(loop):
        upstream = Script("well")
        pipeline = Pipeline("search", Timeout(1.0), clock=loop)
        with deadline(0, clock=loop), pytest.raises(DeadlineExceeded):
            await pipeline.call(upstream)
        assert upstream.calls == []
        started = loop.time()
        with pytest.raises(TimedOut), deadline(0, clock=loop):
            await forever()
        assert loop.time() - started < 0.01

    run_virtual(main)


@pytest.mark.parametrize("seconds", [5e-324, 1e-305, 1e-12, 1e300, 1.7e308])
def test_a_deadline_of_any_length_can_be_set(seconds):
    async def main(loop):
        with deadline(seconds, clock=loop):
            pass

    run_virtual(main)


def test_a_cancellation_from_outside_passes_through_the_block():
    async def main(loop):
        async def waits():
            with deadline(2.0, clock=loop):
                await forever()

        task = asyncio.create_task(waits())
        await asyncio.sleep(1)
        task.cancel("stop")
        with pytest.raises(asyncio.CancelledError, match="stop"):
            await task

    run_virtual(main)


def test_a_cancellation_from_outside_while_a_cut_is_cleaned_up_after_wins():
    async def main(loop):
        async def waits():
            with deadline(2.0, clock=loop):
                try:
                    await forever()
                finally:
                    await asyncio.sleep(5)

        task = asyncio.create_task(waits())
        await asyncio.sleep(4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    run_virtual(main)


def test_an_error_of_the_block_is_not_replaced_even_when_it_comes_of_the_cut():
    async def main(loop):
        async def driver():
            try:
                await forever()
            except asyncio.CancelledError:
                raise ValueError("of the driver") from None

        with pytest.raises(ValueError, match="of the driver"), deadline(2.0, clock=loop):
            await driver()
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)


def test_a_block_that_swallows_its_cut_goes_on():
    async def main(loop):
        with deadline(2.0, clock=loop):
            try:
                await forever()
            except asyncio.CancelledError:
                await asyncio.sleep(1)
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(1)

    run_virtual(main)


@pytest.mark.parametrize(("inside", "outside"), [(1.0, 3.0), (3.0, 1.0)])
def test_a_deadline_and_a_timeout_of_asyncio_each_tell_their_own(inside, outside):
    async def main(loop):
        async def a_timeout_outside():
            async with asyncio.timeout(outside):
                with deadline(inside, clock=loop):
                    await forever()

        async def a_timeout_inside():
            with deadline(outside, clock=loop):
                async with asyncio.timeout(inside):
                    await forever()

        with pytest.raises(TimeoutError) as error:
            await a_timeout_outside()
        assert isinstance(error.value, TimedOut) is (inside < outside)
        with pytest.raises(TimeoutError) as error:
            await a_timeout_inside()
        assert isinstance(error.value, TimedOut) is (outside < inside)
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)


def test_a_nested_deadline_cuts_its_own_block_only():
    async def main(loop):
        with deadline(5.0, clock=loop):
            with pytest.raises(TimedOut) as cut, deadline(1.0, clock=loop):
                await forever()
            assert cut.value.limit == 1.0
            assert remaining() == pytest.approx(4.0, abs=0.05)
            await asyncio.sleep(1)

    run_virtual(main)


def test_an_outer_deadline_that_is_caught_inside_cuts_what_follows():
    async def main(loop):
        async def goes_on():
            with pytest.raises(TimedOut), deadline(5.0, clock=loop):
                await forever()
            await forever()

        started = loop.time()
        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await goes_on()
        assert loop.time() - started < 1.1

    run_virtual(main)


def test_a_deadline_in_a_task_is_bound_by_the_one_that_the_task_was_started_under():
    async def main(loop):
        async def child():
            with deadline(5.0, clock=loop):
                await forever()

        with deadline(1.0, clock=loop):
            task = asyncio.create_task(child())
        started = loop.time()
        with pytest.raises(TimedOut) as cut:
            await task
        assert 1.0 <= loop.time() - started <= 1.05
        assert cut.value.limit == 1.0

    run_virtual(main)


def test_a_deadline_around_a_whole_event_loop_binds_what_runs_in_it():
    clock = ManualClock()

    async def main():
        assert remaining() == 2.0
        with deadline(5.0, clock=clock):
            assert remaining() == 2.0

    with deadline(2.0, clock=clock):
        asyncio.run(main())
