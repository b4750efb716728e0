"""Expiries in several event loops, and in loops of other makes."""

import asyncio
import gc
import threading
import weakref
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from sengol_api.resilience import expiry as expiry_module
from sengol_api.resilience.expiry import Expiry
from sengol_api.resilience.testing import VirtualLoop, run_virtual
from support.toolkit.expiries import cut_after


def test_loops_one_after_the_other_and_in_turns_cut_their_own():
    first, second = VirtualLoop(), VirtualLoop(start=5000.0)
    try:
        for _ in range(3):
            assert first.run_until_complete(cut_after(1.0)) == pytest.approx(1.0, rel=0.01)
            assert second.run_until_complete(cut_after(2.0)) == pytest.approx(2.0, rel=0.01)
    finally:
        first.close()
        second.close()


def test_loops_in_eight_threads_cut_their_own():
    took = []

    def run():
        took.append(run_virtual(cut_after(1.0)))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert took == [pytest.approx(1.0, rel=0.01)] * 8


def test_no_closed_loop_is_kept_alive():
    loop = VirtualLoop()
    run_virtual(cut_after(1.0), loop=loop)
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


def test_a_loop_that_tells_the_time_of_its_last_round_does_not_cut_early(monkeypatch):
    """Loops of libuv give the time at which the present round of callbacks began."""

    class Stale(asyncio.AbstractEventLoop):
        def __init__(self):
            self.set = []

        def time(self):
            return 100.0

        def call_later(self, delay, callback, *args, context=None):
            self.set.append(delay)

    loop = Stale()
    task = MagicMock(get_loop=lambda: loop, cancelling=lambda: 0)
    monkeypatch.setattr(expiry_module.asyncio, "current_task", lambda: task)
    now = [100.0]
    monkeypatch.setattr(expiry_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(expiry_module, "_local", threading.local())
    Expiry(0.2)
    now[0] += 0.15  # work without a wait, in the same round
    Expiry(0.2)
    assert all(0.2 <= delay <= 0.202 for delay in loop.set)
    assert len(loop.set) == 2
