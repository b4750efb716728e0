"""Permits: held and free are always as many as there are, nobody starves, and the first come is the first served."""

import asyncio
from collections import OrderedDict

import pytest

from sengol_api.resilience.permits import NoPermitInTime, Permits, QueueFull
from sengol_api.resilience.testing import run_virtual
from sengol_api.resilience.waiters import LoopWaiter
from support.toolkit.tasks import settle


class CountingLine(OrderedDict):
    """Counts what is done to the line."""

    operations = 0

    def __setitem__(self, key, value):
        self.operations += 1
        super().__setitem__(key, value)

    def popitem(self, last=True):
        self.operations += 1
        return super().popitem(last)

    def pop(self, *args):
        self.operations += 1
        return super().pop(*args)


@pytest.mark.parametrize("number", [100, 1_000, 10_000])
def test_the_work_for_a_waiter_does_not_grow_with_the_line(number, monkeypatch):
    """10 000 waiters drain in O(n): each stands in line once, is taken out once, leaves once, and is woken once."""
    woken = 0
    wake = LoopWaiter.wake

    def counted(waiter):
        nonlocal woken
        woken += 1
        return wake(waiter)

    monkeypatch.setattr(LoopWaiter, "wake", counted)
    permits = Permits(10)
    permits.waiting = CountingLine()
    locked = CountingLock(permits._lock)
    permits._lock = locked
    order = []

    async def holder(place):
        await permits.wait(number, None)
        order.append(place)
        await asyncio.sleep(0)
        permits.release()

    async def main():
        await asyncio.gather(*(holder(place) for place in range(number)))

    run_virtual(main())
    assert order == list(range(number))
    assert woken == number
    assert permits.waiting.operations == 3 * number
    assert locked.taken <= 4 * number
    assert permits.held == 0


class CountingLock:
    def __init__(self, lock):
        self.lock = lock
        self.taken = 0

    def __enter__(self):
        self.taken += 1
        return self.lock.__enter__()

    def __exit__(self, *error):
        return self.lock.__exit__(*error)


def test_cancelling_a_long_line_from_its_end_costs_each_waiter_the_same():
    permits = Permits(1)
    permits.waiting = CountingLine()
    permits.take_free()

    async def main():
        tasks = [asyncio.create_task(permits.wait(2_000, 60.0)) for _ in range(2_000)]
        await settle()
        for task in reversed(tasks):
            task.cancel()
        await asyncio.wait(tasks)

    run_virtual(main())
    assert permits.waiting.operations == 4_000
    assert permits.held == 1


@pytest.mark.parametrize("seconds", [0, -1.0])
def test_who_has_no_time_gets_no_permit_and_no_place_in_line(seconds):
    permits = Permits(1)

    async def main(loop):
        with pytest.raises(NoPermitInTime):
            await permits.wait(10, seconds)
        with pytest.raises(NoPermitInTime):
            permits.wait_sync(10, seconds, loop)

    run_virtual(main)
    assert permits.held == 0
    assert not permits.waiting


def test_a_full_line_takes_nobody():
    permits = Permits(1)

    async def main(loop):
        with pytest.raises(QueueFull):
            await permits.wait(0, None)
        with pytest.raises(QueueFull):
            permits.wait_sync(0, None, loop)

    run_virtual(main)
    assert permits.held == 0


def test_a_wait_for_a_free_permit_does_not_wait():
    permits = Permits(2)

    async def main(loop):
        await permits.wait(1, 1.0)
        permits.wait_sync(1, 1.0, loop)
        assert loop.time() == 1000.0

    run_virtual(main)
    assert permits.held == 2


def test_a_timer_that_cannot_be_set_leaves_nobody_in_line():
    permits = Permits(1)
    permits.take_free()

    async def main(loop):
        def broken(*args):
            raise OverflowError

        loop.call_later = broken
        with pytest.raises(OverflowError):
            await permits.wait(1, 1.0)

    run_virtual(main)
    assert not permits.waiting


def test_a_waiter_that_gave_its_permit_on_before_it_was_found_beyond_reach_gives_it_once():
    """Its coroutine is collected between the hand-over and the attempt to wake it."""
    permits = Permits(1)
    permits.take_free()

    class Gone:
        granted = False

        def wake(self):
            if permits._leave(self):
                permits.release()
            return False

    permits.waiting[Gone()] = None
    permits.release()
    assert (permits.held, len(permits._free)) == (0, 1)
