"""How much a call matters: what goes first, and what is shed last, when not all can be done."""

from contextvars import ContextVar
from enum import IntEnum
from types import TracebackType
from typing import Self


class Priority(IntEnum):
    """Classes of calls; a higher one goes first."""

    BATCH = 0
    """Nobody waits for it: imports, exports, refreshes."""
    INTERACTIVE = 1
    """Somebody waits for it."""
    CRITICAL = 2
    """Without it the service cannot be run: health checks, the work of an administrator."""


_current: ContextVar[Priority | None] = ContextVar("priority", default=None)


class priority:  # noqa: N801 - read as a word: with priority(Priority.BATCH): ...
    """All calls inside have this priority.

    ::

        with priority(Priority.BATCH):
            await reports.call(rebuild)

    Inside of another one it can only lower, so that no part of a batch run passes for more than it is. Tasks that are started
    inside inherit it.

    Args:
        level: the class.
        may_raise: also above the priority around it.
    """

    __slots__ = ("_level", "_may_raise", "_outer")

    def __init__(self, level: Priority, *, may_raise: bool = False) -> None:
        self._level = Priority(level)
        self._may_raise = may_raise
        self._outer: Priority | None = None

    def __enter__(self) -> Self:
        outer = self._outer = _current.get()
        _current.set(self._level if outer is None or self._may_raise else min(outer, self._level))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current.set(self._outer)


def current_priority() -> Priority:
    """The priority in force; INTERACTIVE when none was given."""
    level = _current.get()
    return Priority.INTERACTIVE if level is None else level
