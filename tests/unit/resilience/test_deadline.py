"""One budget of time for all that is done inside of a block."""

import asyncio
import contextvars
import math
import threading

import pytest

from sengol_api.resilience import Bulkhead, DeadlineExceeded, OptionsError, Pipeline, Retry, TimedOut, Timeout, deadline, remaining
from sengol_api.resilience.deadline import current, time_left, without_deadline
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual


async def forever():
    await asyncio.get_running_loop().create_future()


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


def test_tasks_that_are_started_inside_inherit_it_and_their_own_ends_with_them():
    async def main(loop):
        pipeline = Pipeline("search", clock=loop)

        async def child():
            with pytest.raises(TimedOut) as cut:
                await pipeline.call(Script(hang))
            assert cut.value.by_deadline
            with deadline(0.0, clock=loop):
                pass
            return loop.time()

        started = loop.time()
        with deadline(1.0, clock=loop):
            tasks = [asyncio.create_task(child()) for _ in range(3)]
        assert current() is None
        assert [0.99 <= ended - started <= 1.02 for ended in await asyncio.gather(*tasks)] == [True] * 3

    run_virtual(main)


def test_each_attempt_gets_what_remains_if_that_is_less_than_its_own_limit():
    async def main(loop):
        pipeline = Pipeline("search", Timeout(1.5), clock=loop)
        with deadline(2.0, clock=loop):
            with pytest.raises(TimedOut) as first:
                await pipeline.call(Script(hang))
            with pytest.raises(TimedOut) as second:
                await pipeline.call(Script(hang))
            assert loop.time() <= 1002.02
        assert (first.value.limit, first.value.by_deadline) == (1.5, False)
        assert second.value.limit == pytest.approx(0.5, abs=0.02)
        assert second.value.by_deadline

    run_virtual(main)


def test_the_policy_inside_has_its_say_before_the_block_is_cut():
    """Whatever the rounding of their timers: an attempt, and a place in a queue."""

    async def main(loop):
        for seconds in (0.01, 0.3, 1.0, 2.0, 3.7, 30.0):
            for passes in (0.0, 0.001, 0.1234, 0.5):
                pipeline = Pipeline("search", Bulkhead(max_concurrent=1), Timeout(1e6), clock=loop)

                async def call_later(upstream, pipeline=pipeline, seconds=passes * seconds):
                    await asyncio.sleep(seconds)
                    await pipeline.call(upstream)

                with pytest.raises(TimedOut) as cut, deadline(seconds, clock=loop):
                    await call_later(Script(hang))
                assert cut.value.name == "search"
                assert pipeline.snapshot()["timeout"].timed_out == 1
                holder = asyncio.create_task(pipeline.call(Script(hang)))
                with pytest.raises(DeadlineExceeded), deadline(seconds, clock=loop):
                    await call_later(Script("well"))
                assert pipeline.snapshot()["bulkhead"].expired == 1
                holder.cancel()

    run_virtual(main)


def test_no_retry_sleeps_past_it():
    async def main(loop):
        upstream = Script(ConnectionError("away"))
        pipeline = Pipeline("search", Retry(max_retries=10, initial_delay=1.0, jitter="none"), clock=loop)
        started = loop.time()
        with deadline(4.0, clock=loop), pytest.raises(ConnectionError, match="away"):
            await pipeline.call(upstream)
        assert loop.time() - started == 3.0  # after 1 s and 2 s; the next would start after 7 s
        assert len(upstream.calls) == 3

    run_virtual(main)


def test_none_frees_what_is_done_inside_from_a_deadline_around_it():
    async def main(loop):
        started = loop.time()
        background = []

        async def cleans_up():
            with deadline(None):
                assert remaining() is None
                background.append(asyncio.create_task(Pipeline("refresh", clock=loop).call(Script(after(5.0, "fresh")))))
                await asyncio.sleep(3.0)
            assert loop.time() - started == 3.0
            assert remaining() == 0.0
            await forever()

        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await cleans_up()
        assert 3.0 <= loop.time() - started <= 3.01
        assert await background[0] == "fresh"

    run_virtual(main)


def test_none_gives_the_deadline_around_it_its_whole_time_back():
    async def main(loop):
        async def rests():
            with deadline(None), deadline(None):
                await asyncio.sleep(0.5)
            await forever()

        started = loop.time()
        with pytest.raises(TimedOut), deadline(2.0, clock=loop), deadline(3.0, clock=loop):
            await rests()
        assert 2.0 <= loop.time() - started <= 2.05

    run_virtual(main)


def test_none_after_a_cut_protects_the_cleaning_up():
    async def main(loop):
        cleaned = []

        async def cleans_up():
            try:
                await forever()
            finally:
                with deadline(None):
                    await asyncio.sleep(5)
                    cleaned.append(True)

        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await cleans_up()
        assert cleaned

    run_virtual(main)


def test_none_in_a_task_leaves_the_deadline_of_the_task_that_started_it():
    async def main(loop):
        async def child():
            with deadline(None):
                await asyncio.sleep(5)

        async def starts_it():
            tasks.append(asyncio.create_task(child()))
            await forever()

        tasks = []
        started = loop.time()
        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await starts_it()
        assert loop.time() - started <= 1.05
        await tasks[0]

    run_virtual(main)


def test_none_in_a_task_that_ends_early_leaves_the_deadline_of_the_task_that_started_it():
    async def main(loop):
        async def child():
            with deadline(None):
                await asyncio.sleep(5)

        with deadline(10.0, clock=loop):
            await asyncio.create_task(child())
        await asyncio.sleep(20)  # nothing is left that could cut this

    run_virtual(main)


def test_none_ends_the_inheritance_only_inside():
    clock = ManualClock()
    with deadline(2.0, clock=clock):
        with deadline(None):
            assert remaining() is None
            with deadline(7.0, clock=clock):
                assert remaining() == 7.0
        assert remaining() == 2.0


def test_a_block_that_outlives_the_deadline_around_it_breaks_nothing():
    """An async generator that is not read to its end leaves its blocks late."""

    async def main(loop):
        async def values():
            with deadline(None):
                yield 1

        given = values()
        with deadline(1.0, clock=loop):
            assert await anext(given) == 1
        await given.aclose()
        await asyncio.sleep(5)

    run_virtual(main)


def test_a_context_without_deadline_serves_more_than_one_caller():
    clock = ManualClock()
    word = contextvars.ContextVar("word", default="")
    with deadline(1.0, clock=clock):
        word.set("kept")
        context = without_deadline()
        assert context.run(remaining) is None
        assert context.run(word.get) == "kept"
        assert remaining() == 1.0


def test_a_plain_thread_carries_it_to_every_pipeline():
    clock = ManualClock()
    pipeline = Pipeline("search", clock=clock)
    upstream = Script("well")
    outcome = []

    def work():
        with deadline(1.0, clock=clock):
            outcome.append(pipeline.call_sync(upstream.sync))
            clock.advance(1.0)
            try:
                pipeline.call_sync(upstream.sync)
            except DeadlineExceeded as error:
                outcome.append(str(error))
        outcome.append(pipeline.call_sync(upstream.sync))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["well", "search: the call was not started: its deadline had passed (deadline)", "well"]
    assert remaining() is None


def test_it_is_carried_into_the_threads_of_an_executor():
    async def main(loop):
        with deadline(2.0, clock=loop):
            return await asyncio.to_thread(remaining)

    assert run_virtual(main) == 2.0


def test_in_a_callback_of_the_loop_where_no_task_runs_it_is_carried_and_cuts_nothing():
    async def main(loop):
        seen = loop.create_future()

        def callback():
            with deadline(1.0, clock=loop):
                seen.set_result(remaining())

        loop.call_soon(callback)
        assert await seen == 1.0

    run_virtual(main)
