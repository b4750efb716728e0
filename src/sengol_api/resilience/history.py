"""What a retry writes on the error that it gives up with: a reader sees the attempts, an outer retry does not repeat them."""

import threading
from dataclasses import dataclass


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
    earlier: tuple[Attempt, ...]
    serial: int


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


def attempts_of(error: BaseException) -> tuple[Attempt, ...]:
    """The attempts behind an error that a :class:`Retry` gave up with, in order; empty for any other error."""
    history = getattr(error, "__retry__", None)
    if not isinstance(history, _History):
        return ()
    return (*history.earlier, Attempt(len(history.earlier) + 1, error, None))


def mark(error: BaseException, earlier: tuple[Attempt, ...], note: str) -> None:
    """Record a series that was given up on the error of its last attempt.

    The earlier errors only: a reference of the error to itself would keep it, and the frames of its traceback, alive until the next
    collection. An instance that is raised again and again gets its record replaced, and one note.
    """
    first = getattr(error, "__retry__", None) is None
    try:
        error.__retry__ = _History(earlier, given_up.next())  # type: ignore[attr-defined]
    except AttributeError:  # a class with slots: it can say nothing more
        return
    if first:
        error.add_note(note)


def was_given_up_since(error: BaseException, serial: int) -> bool:
    """Whether a retry further inside has given up with this error, or with one that led to it, after ``serial``."""
    seen = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        history = getattr(cause, "__retry__", None)
        if isinstance(history, _History) and history.serial > serial:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
