"""Cutting work when its time is over, at a price that only work which waits has to pay.

:class:`asyncio.timeout` sets and removes a timer of the event loop for every call. Here calls that end at about the same time
share one: the time of an expiry is rounded up to a step of at most 1 % of its limit, and all expiries of one step wait for one
timer. So work may be cut up to 1 % late, never early.
"""

import asyncio
import math
import threading
import weakref

_local = threading.local()


class _Timers:
    """The expiries of one event loop, by the time of their timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        self.by_time: dict[float, dict[Expiry, None]] = {}

    def fire(self, when: float) -> None:
        for expiry in self.by_time.pop(when):
            expiry.fire()


def _timers(loop: asyncio.AbstractEventLoop) -> _Timers:
    # One thread runs one loop at a time, so the thread's last one is nearly always the right one.
    timers: _Timers | None = getattr(_local, "timers", None)
    if timers is None or timers.loop() is not loop:
        timers = _local.timers = _Timers(loop)
    return timers


class Expiry:
    """Cancels the running task when ``limit`` seconds have passed, unless it is disarmed before.

    Args:
        limit: seconds from now, above 0.

    Raises:
        RuntimeError: no task is running, so there is nothing that could be cancelled.
    """

    __slots__ = ("_cancelling", "_group", "_task", "fired")

    def __init__(self, limit: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a running task: await the call in a task, with asyncio.run for example")
        self._task = task
        self._cancelling = task.cancelling()
        self.fired = False
        loop = task.get_loop()
        timers = _timers(loop)
        step = math.ldexp(1.0, math.frexp(limit / 100.0)[1] - 1)  # the power of two at or below 1 % of the limit
        when = math.ceil((loop.time() + limit) / step) * step
        group = timers.by_time.get(when)
        if group is None:
            group = timers.by_time[when] = {}
            loop.call_at(when, timers.fire, when)
        group[self] = None
        self._group = group

    def fire(self) -> None:
        """The time is over."""
        self.fired = True
        self._task.cancel()

    def disarm(self) -> bool:
        """Call it when the work has ended, however it did.

        Returns:
            whether a cancellation that arrived is due to this expiry alone: nobody else has asked for one since it was armed.
        """
        if not self.fired:
            del self._group[self]
            return False
        return self._task.uncancel() <= self._cancelling
