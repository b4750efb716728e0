"""Time as a parameter: what the policies ask for the time, and how they let it pass."""

import asyncio
import threading
import time
from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Where a policy gets its time from. All decisions use :meth:`now`; :meth:`wall` is for display only."""

    def now(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass for one coroutine."""
        ...

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Hold the thread until ``event`` is set (true) or ``seconds`` have passed (false)."""
        ...


class SystemClock:
    """The machine's own clocks."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass for one coroutine."""
        await asyncio.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Hold the thread until ``event`` is set (true) or ``seconds`` have passed (false)."""
        return event.wait(None if seconds is None else min(seconds, threading.TIMEOUT_MAX))


SYSTEM_CLOCK = SystemClock()
