"""The one place where the work of many calls is done, and how many of them are there."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Load(NamedTuple):
    """Mean numbers over some time.

    Attributes:
        under_way: calls that began and have not ended.
        at_work: those of them of which something is worked at or waits for it, and what is done there for nobody's call.
        busy: share of the time in which there was any.
    """

    under_way: float
    at_work: float
    busy: float


class _Call:
    """A call, and how many pieces of its work are at the station."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces = 0


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


class Station:
    """Counts the calls of a process by where they are: at the station, such as the thread that computes, or waiting for others.

    A call may have several pieces of work at once, in tasks of its own: it is at the station while one of them is.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._counts = [0, 0]
        self._areas = [0.0, 0.0, 0.0]
        self._last = self._looked = now()

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call, from its beginning to its end. Pieces of work that are sent off inside, in whatever task, are its own."""
        token = _call.set(_Call())
        self._step(0, 1)
        try:
            yield
        finally:
            self._step(0, -1)
            _call.reset(token)

    def enter(self) -> Callable[[], None]:
        """A piece of work comes to the station; call what this gives when it is done, from any thread."""
        call = _call.get() or _Call()

        def leave() -> None:
            with self._lock:
                call.pieces -= 1
                if not call.pieces:
                    self._move(1, -1)

        with self._lock:
            call.pieces += 1
            if call.pieces == 1:
                self._move(1, 1)
        return leave

    def load(self) -> Load:
        """The mean numbers since this was asked last; the present ones when no time has passed."""
        with self._lock:
            self._pass()
            seconds = self._last - self._looked
            load = Load(*(area / seconds for area in self._areas)) if seconds > 0 else Load(*map(float, self._numbers()))
            self._looked, self._areas = self._last, [0.0, 0.0, 0.0]
            return load

    def _step(self, which: int, by: int) -> None:
        with self._lock:
            self._move(which, by)

    def _move(self, which: int, by: int) -> None:
        self._pass()
        self._counts[which] += by

    def _pass(self) -> None:
        now = self._now()
        passed = now - self._last
        self._last = now
        for which, number in enumerate(self._numbers()):
            self._areas[which] += number * passed

    def _numbers(self) -> tuple[int, int, int]:
        under_way, at_work = self._counts
        return under_way, at_work, min(1, at_work)
