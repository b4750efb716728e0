"""Deadlines: one total budget of time for all that is done inside."""

import asyncio
import contextvars
import math
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.errors import DeadlineExceeded, OptionsError, TimedOut
from sengol_api.resilience.expiry import Expiry
from sengol_api.resilience.options import at_least

_SECONDS = at_least(0).or_none()
_PATIENCE = 1.01  # with the step of an expiry, enough for all that waits inside to come up first
_current: ContextVar["deadline | None"] = ContextVar("deadline", default=None)


class deadline:  # noqa: N801 - read as a word, "with deadline(2.0)"
    """All work inside shares ``seconds``; of nested deadlines the earliest holds.

    ::

        with deadline(2.0):
            hits = await search.call(client.query, vector)      # each attempt gets what remains, if that is less than its own limit
            answer = await chat.call(ask, hits)                 # no retry sleeps past it, no queue holds longer

    In a task, a plain ``await`` inside is cut as well: the block then raises :class:`TimedOut`. That comes up to 2 % late, so
    that a policy inside which waits has its say first. Tasks that are started inside inherit the deadline for their pipelines. In
    plain functions it is carried to every pipeline, and :func:`remaining` gives what is left for a socket's own timeout.

    Args:
        seconds: from now on; None for work that no deadline around it may bind (a refresh in the background, a clean-up): such a
            deadline cuts again when the block has ended. A time limit of an attempt around it holds all the same.
        clock: whose time counts; that of the pipelines inside.

    Raises:
        OptionsError: ``seconds`` is no finite number, or negative.
        RuntimeError: the same object is entered while it is in force: build one for each block.
        TimedOut: out of the block, when it was cut.
    """

    __slots__ = ("_clock", "_entered", "_expiry", "_limit", "_outer", "_suspended", "expires_at", "seconds")

    def __init__(self, seconds: float | None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        if not _SECONDS.accepts(seconds):
            raise OptionsError("deadline", [f"seconds={seconds!r} is not allowed, it takes {_SECONDS.words}"])
        self.seconds = seconds
        self.expires_at = math.inf
        self._clock = clock
        self._entered = False
        self._limit = math.inf
        self._outer: deadline | None = None
        self._expiry: Expiry | None = None
        self._suspended: list[deadline] = []

    def remaining(self) -> float:
        """Seconds that are left; 0 when it has passed."""
        return max(0.0, self.expires_at - self._clock.now())

    @property
    def total(self) -> float:
        """Seconds that it had in all, when it was entered."""
        return self._limit

    def __enter__(self) -> Self:
        if self._entered:
            raise RuntimeError("this deadline is in force already: build one for each block")
        self._entered = True
        outer = self._outer = _current.get()
        task = _task()
        if self.seconds is None:
            _current.set(None)
            self._suspended = [each for each in _outwards(outer) if each._suspend(task)]  # noqa: SLF001 - of its own class
            return self
        limit = self._limit = self.seconds if outer is None else min(self.seconds, outer.remaining())
        self.expires_at = self._clock.now() + limit
        if task is not None:
            self._expiry = Expiry(limit * _PATIENCE)
        _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current.set(self._outer)
        self._entered = False
        suspended, self._suspended = self._suspended, []
        for each in suspended:
            each._resume()  # noqa: SLF001 - of its own class
        expiry, self._expiry = self._expiry, None
        if expiry is None:
            return
        ours = kind is not None and issubclass(kind, asyncio.CancelledError) and expiry.claim()
        expiry.disarm()
        if ours:
            raise TimedOut("deadline", "deadline", self._limit, by_deadline=True) from error

    def _suspend(self, task: object) -> bool:
        """Whether it would cut this task; it does not before :meth:`_resume`."""
        expiry = self._expiry
        if expiry is None or expiry.fired or expiry.task is not task:
            return False
        expiry.disarm()
        return True

    def _resume(self) -> None:
        if self._expiry is not None:
            self._expiry.arm(self.remaining() * _PATIENCE)


def _task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _outwards(innermost: deadline | None) -> "Iterator[deadline]":
    while innermost is not None:
        yield innermost
        innermost = innermost._outer  # noqa: SLF001 - of its own class


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
