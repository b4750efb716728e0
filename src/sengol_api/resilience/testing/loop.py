"""An event loop on virtual time: hours of an outage in milliseconds, the same each time."""

import asyncio
import math
import selectors
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class NothingToDo(RuntimeError):
    """All tasks wait for something that nobody will do."""


class _Selector(selectors.DefaultSelector):
    """Asks the operating system only for what is ready now, and lets time jump instead of waiting."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            self.loop.jump(0.0)
            return ready
        if self.loop.busy_threads:  # a thread of the executor works in real time
            return super().select(0.01)
        if timeout is None:
            raise NothingToDo("all tasks wait, and no timer is set: this would hang for ever")
        self.loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as nothing else is left to do.

    It is a :class:`~sengol_api.resilience.Clock` at the same time: give it to a pipeline as ``clock``. Sockets and threads work,
    but nothing waits for a slow one: virtual time is for code that waits for time.

    Args:
        start: monotonic seconds at the start.
        wall: seconds since the epoch at the start.
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._virtual = start
        self._wall_offset = wall - start
        self.busy_threads = 0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual

    now = time

    def wall(self) -> float:
        """Virtual seconds since the epoch."""
        return self._virtual + self._wall_offset

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock, as an operator does; the monotonic one goes on as it was."""
        self._wall_offset += seconds

    async def sleep(self, seconds: float) -> None:
        """Let virtual seconds pass for one coroutine."""
        await asyncio.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """A plain thread waits in real time for an event; time itself passes at once."""
        if seconds is None:
            return event.wait()
        if not event.is_set():
            self.jump(seconds)
        return event.is_set()

    def jump(self, seconds: float) -> None:
        """Let time pass at once."""
        then = self._virtual + max(seconds, 0.0)
        # A timer comes up when it is before the time and a nanosecond. After a hundred days that nanosecond is lost in the
        # rounding, so time has to go on by itself.
        self._virtual = then if then + 1e-9 > then else math.nextafter(then, math.inf)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As any loop does. While the thread works, time stands still.

        So a thread that waits for a coroutine which sleeps waits for ever.
        """
        future = super().run_in_executor(executor, func, *args)
        self.busy_threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: object) -> None:
        self.busy_threads -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - that of the base class
        """As any loop does; it waits in real time for the threads to end."""
        self.busy_threads += 1
        try:
            await super().shutdown_default_executor(*([] if timeout is None else [timeout]))
        finally:
            self.busy_threads -= 1


def run_virtual(main: Coroutine[Any, Any, T] | Any, *, loop: VirtualLoop | None = None) -> T:
    """Run a coroutine to its end on virtual time, as :func:`asyncio.run` does on real time.

    Args:
        main: a coroutine, or a function that takes the loop (as a clock) and gives one.
        loop: to use; a new one by default.
    """
    loop = loop or VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result: T = runner.run(main(loop) if callable(main) else main)
        return result
