"""One attempt: cut in time, by nobody else's clock, and whatever else happens to its task at the same moment."""

import asyncio
import functools
import gc
import inspect
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience import Bulkhead, CircuitBreaker, Pipeline, Retry, TimedOut, Timeout, deadline
from sengol_api.resilience import expiry as expiry_module
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual


def limited(clock, seconds=1.0, *outside):
    return Pipeline("search", *outside, Timeout(seconds), clock=clock)


def armed():
    """Expiries that wait for their time, or have fired and were not put away."""
    timers = expiry_module._local.timers
    return sum(len(group) for group in timers.by_time.values()) + sum(len(fired) for fired in timers.fired.values())


async def in_task(work):
    """The outcome of work in a task of its own, which must be left without a trace."""
    task = asyncio.create_task(work)
    await asyncio.wait([task])
    assert task.cancelling() == 0
    return task.result()


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


# What may be called


async def answer(value="well"):
    await asyncio.sleep(0)
    return value


class Client:
    async def query(self, value):
        return await answer(value)

    async def __call__(self, value):
        return await answer(value)

    @classmethod
    async def make(cls, value):
        return await answer(value)


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0.5).__await__()
        return self.value


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Retry(), Bulkhead()), (Timeout(9.0), Bulkhead(), Timeout(1.0))])
@pytest.mark.parametrize(
    "function",
    [
        answer,
        Client().query,
        Client(),
        Client.make,
        functools.partial(answer),
        functools.partial(Client()),
        Later,
        lambda value: asyncio.ensure_future(answer(value)),
    ],
)
def test_whatever_gives_something_to_await_is_awaited_under_the_policies(function, policies):
    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        assert await pipeline.call(function, "value") == "value"
        task = asyncio.create_task(pipeline.call(function, "value"))
        assert await task == "value"

    run_virtual(main)


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Bulkhead(),), (Timeout(1.0), Bulkhead())])
def test_a_call_is_a_coroutine_whatever_the_policies(policies):
    """So it can be a task, is awaited once, and says so when it never is."""

    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        call = pipeline.call(answer)
        assert inspect.iscoroutine(call)
        assert await call == "well"
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await call
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pipeline.call(answer))
        assert task.result() == "well"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pipeline.call(answer)
            gc.collect()
        assert ["never awaited" in str(each.message) for each in caught] == [True]

    run_virtual(main)


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Bulkhead(), Timeout(2.0)), (Timeout(1.0), Bulkhead())])
def test_a_plain_function_is_refused_with_what_to_do(policies):
    def plain():
        return 42

    async def values():
        yield 1

    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        told = r"plain gave a value of type int, which cannot be awaited: call_sync\(\) is for plain functions"
        with pytest.raises(TypeError, match=told):
            await pipeline.call(plain)
        with pytest.raises(TypeError, match=r"values gave a value of type async_generator, which cannot be awaited"):
            await pipeline.call(values)
        with pytest.raises(TypeError, match=r"functools.partial\(.*\) gave a value of type int"):
            await pipeline.call(functools.partial(plain))

    run_virtual(main)


def test_a_coroutine_function_in_a_plain_call_is_refused_and_its_coroutine_closed():
    with pytest.raises(TypeError, match=r"answer is a coroutine function: await call\(\) instead of call_sync\(\)"):
        Pipeline("search", Timeout(1.0)).call_sync(answer)
    gc.collect()  # no coroutine that was never awaited: warnings are errors


def test_arguments_reach_the_work_as_they_are():
    async def main(loop):
        pipeline = limited(loop)
        upstream = Script("well")
        await pipeline.call(upstream, 1, "two", function=3, self=4, args=5, kwargs=6)
        assert upstream.calls == [((1, "two"), {"function": 3, "self": 4, "args": 5, "kwargs": 6})]

    run_virtual(main)


def test_work_may_raise_a_stop_iteration_without_ending_the_call_in_silence():
    def stops():
        raise StopIteration("no more")

    async def main(loop):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await limited(loop).call(stops)

    run_virtual(main)


def test_work_that_ends_by_swallowing_an_error_thrown_in_gives_its_result():
    async def main(loop):
        async def swallows():
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                return "swallowed"

        task = asyncio.create_task(Pipeline("search", clock=loop).call(swallows))
        await asyncio.sleep(1)
        task.cancel()
        assert await task == "swallowed"

    run_virtual(main)
