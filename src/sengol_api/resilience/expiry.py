"""Cutting work when its time is over, at a price that only work which waits has to pay.

:class:`asyncio.timeout` sets and removes a timer of the event loop for every call. Here calls that end at about the same time
share one: the time of an expiry is rounded up to a step of at most 1 % of its limit, and all expiries of one step wait for one
timer. So work may be cut up to 1 % late, never early.

A task is cut by cancelling it, so a cut has to be told from a cancellation that somebody else has asked for, and from the cuts of
limits further outside and further inside. When several are over at the same moment, the innermost cuts, and the others wait for
what follows: it is the innermost that knows what was too slow.
"""

import asyncio
import math
import threading
import time
import weakref
from contextvars import Context

_SHORTEST = 0.001  # seconds for work that used up its time before it first waited
_LONGEST = 1e9  # thirty years; what is much longer overflows in one event loop or another

_local = threading.local()


class _Timers:
    """The expiries of one event loop, by the time of their timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        # A timer outlives the calls that share it. In a copy of their context it would hold what each first one had with it.
        self.context = Context()
        # Loops of other makes may give the time at which the present round of callbacks began, which can be long ago.
        self.exact = isinstance(loop, asyncio.BaseEventLoop)
        self.by_time: dict[float, dict[Expiry, None]] = {}
        self.fired: dict[asyncio.Task[object], list[Expiry]] = {}

    def fire(self, when: float) -> None:
        group = self.by_time.pop(when)
        for expiry in tuple(group):
            if expiry in group:  # a collection of garbage on the way may disarm some
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
        limit: seconds from now; at least a millisecond is given.

    Raises:
        RuntimeError: no task is running, so there is nothing that could be cancelled.
    """

    __slots__ = ("_group", "_outside", "_timers", "fired", "task")

    def __init__(self, limit: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a running task: await the call in a task, with asyncio.run for example")
        self.task = task
        self.fired = False
        timers = self._timers = _timers(task.get_loop())
        self._outside = task.cancelling() - len(timers.fired.get(task, ()))
        self.arm(limit)

    def arm(self, limit: float) -> None:
        """Let it fire after ``limit`` seconds from now. It is not armed."""
        timers = self._timers
        loop = self.task.get_loop()
        now = loop.time() if timers.exact else time.monotonic()
        if not _SHORTEST <= limit <= _LONGEST:
            limit = _SHORTEST if limit < _SHORTEST else _LONGEST
        step = math.ldexp(1.0, math.frexp(limit / 100.0)[1] - 1)  # the power of two at or below 1 % of the limit
        when = math.ceil((now + limit) / step) * step
        group = timers.by_time.get(when)
        if group is None:
            if timers.exact:
                loop.call_at(when, timers.fire, when, context=timers.context)
            else:
                loop.call_later(when - now, timers.fire, when, context=timers.context)
            group = timers.by_time[when] = {}  # not before: a timer that cannot be set must not leave a group without one
        group[self] = None
        self._group = group

    def fire(self) -> None:
        """The time is over."""
        self.fired = True
        self._timers.fired.setdefault(self.task, []).append(self)
        self.task.cancel()

    def claim(self) -> bool:
        """Ask whether a cancellation that has arrived is due to this expiry.

        It is when it has fired, and nobody but expiries has asked for a cancellation since it was armed. Others that have fired as
        well are put off for a moment: the cut is this one's, and they cut again if the task goes on waiting inside of them.
        """
        fired = self._timers.fired.get(self.task, ())
        if not self.fired or self.task.cancelling() - len(fired) > self._outside:
            return False
        for other in [each for each in fired if each is not self]:
            other.disarm()
            other.arm(_SHORTEST)
        return True

    def disarm(self) -> None:
        """Call it when the work has ended, however it did."""
        if not self.fired:
            self._group.pop(self, None)
            return
        self.fired = False
        fired = self._timers.fired[self.task]
        fired.remove(self)
        if not fired:
            del self._timers.fired[self.task]
        self.task.uncancel()
