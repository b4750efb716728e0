"""Expiries cut in time, share their timers, and know their own cuts from those of others."""

import asyncio
import gc
import math
import weakref
from contextvars import ContextVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience import expiry as expiry_module
from sengol_api.resilience.expiry import Expiry
from sengol_api.resilience.testing import VirtualLoop, run_virtual
from support.toolkit.expiries import cut_after


class CountingLoop(VirtualLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(self, when, callback, *args, context=None):
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


@settings(max_examples=60, deadline=None)
@given(limit=st.floats(0.001, 100_000.0), start=st.floats(0.0, 1e6))
def test_work_is_never_cut_early_and_at_most_one_percent_late(limit, start):
    took = run_virtual(cut_after(limit), loop=VirtualLoop(start=start))
    rounding = math.ulp(start + limit) * 4 + 1e-9  # what an event loop takes for the same time
    assert limit - rounding <= took <= limit * 1.01 + rounding


@pytest.mark.parametrize("limit", [0.0, -5.0, 5e-324, 1e-305, 1e-9])
def test_no_limit_is_too_short(limit):
    assert 0.001 <= run_virtual(cut_after(limit)) <= 0.0011


@pytest.mark.parametrize("limit", [1e9, 1e18, 1.7e308])
def test_no_limit_is_too_long(limit):
    async def main():
        Expiry(limit).disarm()

    run_virtual(main())


def test_a_timer_that_cannot_be_set_takes_no_other_expiry_with_it():
    async def main(loop):
        def broken(*_, **_context):
            raise OverflowError

        loop.call_at = broken
        with pytest.raises(OverflowError):
            Expiry(1.0)
        del loop.call_at
        expiry = Expiry(1.0)  # of the same moment
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(5)
        expiry.disarm()

    run_virtual(main)


def test_calls_of_about_the_same_end_share_one_timer():
    loop = CountingLoop()

    async def main():
        for _ in range(1000):
            expiry = Expiry(30.0)
            await asyncio.sleep(0)
            expiry.disarm()

    run_virtual(main(), loop=loop)
    assert loop.timers == 1


def test_the_timers_do_not_grow_with_the_calls():
    loop = CountingLoop()
    most = 0

    async def main():
        nonlocal most
        for number in range(5000):
            expiry = Expiry(30.0 if number % 2 else 0.5)
            await asyncio.sleep(0.01)
            expiry.disarm()
            most = max(most, len(expiry._timers.by_time))
        await asyncio.sleep(31)
        return len(expiry._timers.by_time)

    assert run_virtual(main(), loop=loop) == 0  # all that has passed is forgotten
    assert most <= 260  # a limit has at most 128 steps, whatever the traffic


def test_a_disarmed_expiry_cuts_nothing_and_may_be_disarmed_again():
    async def main():
        expiry = Expiry(1.0)
        expiry.disarm()
        expiry.disarm()
        await asyncio.sleep(5)
        return expiry.fired

    assert run_virtual(main()) is False


def test_a_cancellation_from_outside_is_not_claimed():
    async def waits():
        expiry = Expiry(1.0)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            assert not expiry.claim()
            expiry.disarm()
            raise

    async def main():
        task = asyncio.create_task(waits())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    run_virtual(main())


def test_a_cancellation_from_outside_at_the_very_moment_is_not_claimed():
    async def waits():
        expiry = Expiry(1.0)
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            assert expiry.fired
            assert not expiry.claim()
            expiry.disarm()
            raise

    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(waits())
        loop.call_at(loop.time() + 1.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    run_virtual(main())


def test_a_cancellation_that_was_asked_for_earlier_and_swallowed_is_not_held_against_it():
    async def waits():
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(10)
        assert await cut_after_again() <= 1.01

    async def cut_after_again():
        loop = asyncio.get_running_loop()
        started = loop.time()
        expiry = Expiry(1.0)
        with pytest.raises(asyncio.CancelledError):
            await loop.create_future()
        assert expiry.claim()
        expiry.disarm()
        assert asyncio.current_task().cancelling() == 1
        return loop.time() - started

    async def main():
        task = asyncio.create_task(waits())
        await asyncio.sleep(0.5)
        task.cancel()
        await task

    run_virtual(main())


def test_of_several_that_are_over_at_once_the_one_that_asks_first_cuts_and_the_others_cut_what_follows():
    async def main():
        loop = asyncio.get_running_loop()
        outer, inner = Expiry(1.0), Expiry(1.0)
        with pytest.raises(asyncio.CancelledError):
            await loop.create_future()
        assert outer.fired
        assert inner.claim()
        inner.disarm()
        assert not outer.fired
        with pytest.raises(asyncio.CancelledError):  # it goes on waiting inside of the outer one
            await loop.create_future()
        assert outer.claim()
        outer.disarm()
        assert asyncio.current_task().cancelling() == 0
        assert loop.time() == pytest.approx(1001.001, abs=1e-4)

    run_virtual(main())


def test_without_a_task_it_says_what_is_missing():
    async def main():
        failed = asyncio.get_running_loop().create_future()

        def in_a_callback():
            try:
                Expiry(1.0)
            except RuntimeError as error:
                failed.set_result(error)

        asyncio.get_running_loop().call_soon(in_a_callback)
        return str(await failed)

    assert "needs a running task" in run_virtual(main())


def test_an_expiry_that_a_garbage_collection_disarms_while_its_group_fires_spares_the_others():
    class Task:
        """A task whose cancellation runs a finalizer, as any allocation may."""

        def __init__(self, then):
            self.then = then
            self.cancelled = 0

        def cancel(self):
            self.cancelled += 1
            self.then()

    timers = expiry_module._Timers(asyncio.AbstractEventLoop())
    group = timers.by_time[1.0] = {}

    def member(then):
        made = object.__new__(Expiry)
        made.task, made.fired, made._timers, made._group = Task(then), False, timers, group
        group[made] = None
        return made

    put_away = []
    first = member(lambda: [each.disarm() for each in put_away])
    second, third = member(lambda: None), member(lambda: None)
    put_away.append(second)
    timers.fire(1.0)
    assert [each.task.cancelled for each in (first, second, third)] == [1, 0, 1]


def test_a_call_that_has_ended_leaves_nothing_in_the_timer_that_it_had_set():
    class Held:
        pass

    variable = ContextVar("variable")

    async def call():
        held = Held()
        variable.set(held)
        Expiry(60.0).disarm()
        return weakref.ref(held)

    async def main():
        held = await asyncio.create_task(call())
        await asyncio.sleep(0)  # until then the loop has the task at hand
        gc.collect()
        assert held() is None

    run_virtual(main())
