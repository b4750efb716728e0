"""Deadlines: one total budget of time for all that is done inside."""

import asyncio
import contextvars
import math
from contextvars import ContextVar
from types import TracebackType
from typing import Self

from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.errors import DeadlineExceeded, OptionsError, TimedOut
from sengol_api.resilience.expiry import Expiry
from sengol_api.resilience.options import at_least

_SECONDS = at_least(0).or_none()
_current: ContextVar["deadline | None"] = ContextVar("deadline", default=None)


class deadline:  # noqa: N801 - read as a word: with deadline(2.0): ...
    """All work inside shares ``seconds``; of nested deadlines the earliest holds.

    ::

        with deadline(2.0):
            hits = await search.call(client.query, vector)      # each attempt gets what remains, if that is less than its own limit
            answer = await chat.call(ask, hits)                 # no retry sleeps past it, no queue holds longer

    In a task, a plain ``await`` inside is cut as well: the block then raises :class:`TimedOut`. Tasks that are started inside
    inherit the deadline. In plain functions it is carried to every pipeline, and :func:`remaining` gives what is left for a
    socket's own timeout.

    Args:
        seconds: from now on; None for work that must not be bound by a deadline around it (a refresh in the background).
        clock: whose time counts; that of the pipelines inside.

    Raises:
        OptionsError: ``seconds`` is no finite number, or negative.
        TimedOut: out of the block, when it was cut.
    """

    __slots__ = ("_clock", "_expiry", "_outer", "expires_at", "seconds")

    def __init__(self, seconds: float | None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        if not _SECONDS.accepts(seconds):
            raise OptionsError("deadline", [f"seconds={seconds!r} is not allowed, it takes {_SECONDS.words}"])
        self.seconds = seconds
        self.expires_at = math.inf
        self._clock = clock
        self._outer: deadline | None = None
        self._expiry: Expiry | None = None

    def remaining(self) -> float:
        """Seconds that are left; 0 when it has passed."""
        return max(0.0, self.expires_at - self._clock.now())

    def __enter__(self) -> Self:
        outer = self._outer = _current.get()
        if self.seconds is None:
            _current.set(None)
            return self
        self.expires_at = self._clock.now() + self.seconds
        if outer is not None and outer.expires_at <= self.expires_at:
            self.expires_at = outer.expires_at  # the outer one cuts
        elif self.seconds > 0 and _in_task():
            self._expiry = Expiry(self.seconds)
        _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current.set(self._outer)
        expiry, self._expiry = self._expiry, None
        if expiry is not None and expiry.disarm() and kind is asyncio.CancelledError:
            raise TimedOut("deadline", "deadline", self.seconds or 0.0, by_deadline=True) from error


def _in_task() -> bool:
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


current = _current.get
"""The deadline in force, or None. Bound to the variable itself, without a frame between: it is asked at every attempt."""


def remaining() -> float | None:
    """Seconds that the deadline in force leaves (0 when it has passed), or None when there is none."""
    now = _current.get()
    return None if now is None else now.remaining()


def time_left(name: str, policy: str) -> float | None:
    """The same for a policy that is about to start or wait.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    left = remaining()
    if left is not None and left <= 0:
        raise DeadlineExceeded(name, policy)
    return left


def without_deadline() -> contextvars.Context:
    """A copy of the present context that no deadline binds: for tasks that serve more than the caller that starts them."""
    context = contextvars.copy_context()
    context.run(_current.set, None)
    return context
