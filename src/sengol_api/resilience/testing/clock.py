"""A clock that stands still until a test moves it."""

import asyncio
import threading


class ManualClock:
    """Time that moves when a test says so, and by what somebody sleeps.

    Args:
        now: monotonic seconds at the start.
        wall: seconds since the epoch at the start.
    """

    def __init__(self, now: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._now = now
        self._wall = wall
        self._lock = threading.Lock()
        self.slept: list[float] = []
        """What was slept, in order."""

    def now(self) -> float:
        """Monotonic seconds."""
        return self._now

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            ValueError: ``seconds`` is negative: a monotonic clock never steps back. To set the wall clock, use :meth:`step_wall`.
        """
        if seconds < 0:
            raise ValueError(f"seconds={seconds!r} is not allowed: a monotonic clock never steps back")
        with self._lock:
            self._now += seconds
            self._wall += seconds

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock, as an operator does; the monotonic one goes on as it was."""
        with self._lock:
            self._wall += seconds

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Pass the time at once, unless the event is set; with no time, wait for the event itself."""
        if seconds is None:
            return event.wait()
        if not event.is_set():
            self.slept.append(seconds)
            self.advance(seconds)
        return event.is_set()
