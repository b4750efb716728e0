"""What a retry writes on the error that it gives up with: a reader sees the attempts, an outer retry does not repeat them."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that failed.

    Attributes:
        number: 1 for the first.
        error: what it raised.
        delay: seconds that passed between it and the next one; None after the last.
    """

    number: int
    error: BaseException
    delay: float | None


@dataclass(frozen=True, slots=True)
class _History:
    """What an error bears.

    Attributes:
        attempts: number, error and delay of each. None stands for the error itself: a reference of the error to itself would keep
            it, and the frames of its traceback, alive until the next collection.
        serial: of the series, among all that were given up.
        reused: the same instance was raised more than once.
        where: task or thread that gave up.
    """

    attempts: tuple[tuple[int, BaseException | None, float | None], ...]
    serial: int
    reused: bool
    where: int

    def __reduce__(self) -> tuple[Any, ...]:
        # Serials mean nothing to another process, and the earlier errors might not bear the journey that the last one makes.
        return _arrived, ()


def _arrived() -> _History:
    return _History((), given_up.next(), reused=False, where=0)


class _Serial:
    """Numbers the series that were given up, to tell a fresh mark from one that an error instance, raised again, still bears."""

    def __init__(self) -> None:
        self.last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        with self._lock:
            self.last += 1
            return self.last


given_up = _Serial()


class _Note(str):
    """A note of ours among those that others have added."""

    __slots__ = ()


def _here() -> int:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop
        task = None
    return threading.get_ident() if task is None else id(task)


def _history_of(error: BaseException) -> _History | None:
    # Read and written past the attributes: classes of errors may be frozen, or make attributes up.
    history = error.__dict__.get("__retry__")
    return history if isinstance(history, _History) else None


def attempts_of(error: BaseException) -> tuple[Attempt, ...]:
    """The attempts behind an error that a :class:`Retry` gave up with, in order; empty for any other error."""
    history = _history_of(error)
    if history is None:
        return ()
    return tuple(Attempt(number, error if each is None else each, delay) for number, each, delay in history.attempts)


def mark(error: BaseException, earlier: Sequence[Attempt], number: int, note: str) -> None:
    """Record a series that was given up on the error of its last attempt.

    An instance that is raised again and again gets its record and its note replaced.

    Args:
        error: of the last attempt.
        earlier: attempts that raised an error.
        number: of the last attempt.
        note: to be shown with the traceback.
    """
    attempts = [(each.number, None if each.error is error else each.error, each.delay) for each in earlier]
    reused = _history_of(error) is not None or any(each is None for _, each, _ in attempts)
    error.__dict__["__retry__"] = _History((*attempts, (number, None, None)), given_up.next(), reused, _here())
    notes = error.__dict__.get("__notes__")
    others = [each for each in notes if not isinstance(each, _Note)] if isinstance(notes, list) else []
    error.__dict__["__notes__"] = [*others, _Note(note)]


def was_given_up_since(error: BaseException, serial: int) -> bool:
    """Whether a retry further inside has given up with this error, or with one that led to it, after ``serial``.

    An instance that is raised again and again may have got its mark from a call beside this one, at the same time: it is believed
    only where it was given up by the same task or thread. A fresh one is believed wherever that was: work is handed to other tasks.
    """
    if given_up.last == serial:
        return False
    here = _here()
    seen: set[int] = set()
    unseen: list[BaseException | None] = [error]
    while unseen:
        each = unseen.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        history = _history_of(each)
        if history is not None and history.serial > serial and (not history.reused or history.where == here):
            return True
        unseen += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            unseen += each.exceptions
    return False
