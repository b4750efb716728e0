"""Cuts and cancellations that meet: each is told from the others, and none is lost."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience import Pipeline, TimedOut, Timeout, deadline
from sengol_api.resilience import expiry as expiry_module
from sengol_api.resilience.testing import Script, hang, run_virtual
from support.toolkit.attempts import armed, limited


async def in_task(work):
    """The outcome of work in a task of its own, which must be left without a trace."""
    task = asyncio.create_task(work)
    await asyncio.wait([task])
    assert task.cancelling() == 0
    return task.result()


def test_a_cancelled_call_passes_its_cancellation_with_its_message():
    async def main(loop):
        task = asyncio.create_task(limited(loop, 5.0).call(Script(hang)))
        await asyncio.sleep(1)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert armed() == 0

    run_virtual(main)


def test_work_that_swallows_its_cut_and_answers_is_believed():
    async def main(loop):
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(0.5)
                return "partial"

        async def call():
            return await limited(loop).call(stubborn)

        assert await in_task(call()) == "partial"
        assert armed() == 0

    run_virtual(main)


def test_work_that_swallows_the_cancellation_of_its_caller_is_still_cut_at_its_limit():
    async def main(loop):
        async def stubborn():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                await asyncio.sleep(10)

        pipeline = limited(loop, 2.0)
        started = loop.time()
        task = asyncio.create_task(pipeline.call(stubborn))
        await asyncio.sleep(1)
        task.cancel()
        # The caller has asked as well, so to him it is his cancellation; but the work has ended in time.
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.time() - started <= 2.02

    run_virtual(main)


def test_an_error_that_the_work_makes_of_its_cut_is_handed_on():
    async def main(loop):
        async def translates():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise ConnectionError("connection lost") from None

        async def call():
            with pytest.raises(ConnectionError, match="connection lost"):
                await limited(loop).call(translates)

        await in_task(call())
        assert armed() == 0

    run_virtual(main)


def test_a_future_that_somebody_else_cancelled_is_not_taken_for_a_cut():
    async def main(loop):
        pipeline = limited(loop)
        future = loop.create_future()
        loop.call_at(loop.time() + 0.5, future.cancel)
        with pytest.raises(asyncio.CancelledError):
            await pipeline.call(lambda: future)
        assert pipeline.snapshot()["timeout"].timed_out == 0

    run_virtual(main)


def test_a_cut_in_the_same_round_as_the_result_is_a_cut_and_nothing_cancels_later():
    async def main(loop):
        pipeline = limited(loop, 1.0)
        for first in (True, False):

            async def call(first=first):
                future = loop.create_future()
                if first:
                    loop.call_at(loop.time() + 1.0, future.set_result, "just in time")
                work = pipeline.call(lambda: future)
                with pytest.raises(TimedOut):
                    await work
                await asyncio.sleep(1)

            await in_task(call())

    run_virtual(main)


def test_a_cancellation_in_the_same_round_as_the_result_is_a_cancellation():
    async def main(loop):
        future = loop.create_future()
        task = asyncio.create_task(limited(loop).call(lambda: future))
        await asyncio.sleep(0)
        future.set_result("just in time")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert armed() == 0

    run_virtual(main)


def test_a_task_group_inside_and_outside_keeps_its_word():
    async def main(loop):
        pipeline = limited(loop, 1.0)
        upstream = Script(hang)

        async def fans_out():
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(upstream())

        with pytest.raises(TimedOut):
            await pipeline.call(fans_out)
        assert upstream.cancelled == 3
        assert asyncio.current_task().cancelling() == 0

        async def two():
            async with asyncio.TaskGroup() as group:
                group.create_task(pipeline.call(Script(hang)))
                group.create_task(limited(loop, 5.0).call(Script(hang)))

        with pytest.raises(ExceptionGroup) as errors:
            await two()
        assert [type(error) for error in errors.value.exceptions] == [TimedOut]

    run_virtual(main)


# Any nesting of limits, any moment of cancellation

LIMITS = st.lists(
    st.tuples(st.sampled_from(["policy", "deadline", "asyncio"]), st.sampled_from([0.5, 1.0, 1.0, 2.0])), min_size=1, max_size=4
)


MOMENTS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.01, 2.0, 3.0])


def within(inner, kind, seconds, loop):
    """``inner`` under one more limit."""
    pipeline = Pipeline(f"after {seconds}", Timeout(seconds), clock=loop)

    async def by_deadline():
        with deadline(seconds, clock=loop):
            return await inner()

    async def by_asyncio():
        async with asyncio.timeout(seconds):
            return await inner()

    return {"policy": lambda: pipeline.call(inner), "deadline": by_deadline, "asyncio": by_asyncio}[kind]


@settings(max_examples=100, deadline=None)
@given(limits=LIMITS, takes=MOMENTS, cleans_up=st.sampled_from([0.0, 0.5]), cancels=st.lists(MOMENTS, max_size=2))
def test_however_limits_are_nested_and_whenever_the_caller_cancels_each_cancellation_is_accounted_for(
    limits, takes, cleans_up, cancels
):
    shortest = min(seconds for _, seconds in limits)
    latest_cut = shortest * 1.02 + 0.001

    async def work():
        try:
            await asyncio.sleep(takes)
        finally:
            await asyncio.sleep(cleans_up)
        return "done"

    async def main(loop):
        call = work
        for kind, seconds in reversed(limits):
            call = within(call, kind, seconds, loop)
        asked, left = [], []

        async def caller():
            try:
                return await call()
            except TimeoutError:
                return "cut"
            finally:
                left.append((loop.time() - 1000.0, asyncio.current_task().cancelling(), len(asked)))

        task = asyncio.create_task(caller())
        for moment in cancels:
            loop.call_at(1000.0 + moment, lambda moment=moment: task.cancel() and asked.append(moment))
        await asyncio.wait([task])
        assert armed() == 0
        if not left:  # cancelled before its first step
            assert task.cancelled()
            return
        ended, cancelling, asked_before = left[0]
        assert cancelling == asked_before  # what limits have asked for is taken back, what the caller has asked for is not
        assert ended <= min(takes, latest_cut) + 2 * cleans_up + 1e-6
        if not asked:
            assert task.result() == "done" or takes + cleans_up >= shortest
            assert task.result() == "cut" or takes <= latest_cut
        elif asked[0] < min(takes, shortest):
            assert task.cancelled()

    expiry_module._timers(asyncio.AbstractEventLoop())  # also when nothing is armed at all
    run_virtual(main)
