"""Errors that come with every request while something is away: the first in full, then their number once a minute.

::

    failures = Repeats(logging.getLogger("sengol_api.request"))
    failures.tell("operation failed", error, code="DATABASE_ERROR", route="/api/review")
    failures.settle()                            # when all is well: what nobody has heard of yet is told

In an outage a traceback for every request says nothing new and buries what does. The first error of a kind is told with its
traceback; after that there is at most one line a minute of that kind, with how many there were since the last. A minute without any
ends it: the next is a first one again. ``LOG_LEVEL=debug`` shows each.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Final, TypeAlias

from sengol_api.observability.withheld import summary_of

SECONDS_BETWEEN: Final = 60.0
KINDS: Final = 64
"""That are remembered; of more, the one that was seen the longest ago is forgotten."""

_Kind: TypeAlias = tuple[str, tuple[tuple[str, str], ...], type[BaseException], tuple[str, int]]


@dataclass(slots=True)
class _Known:
    """What is remembered of a kind. Never an error: it would keep alive whatever its frames hold."""

    told: float
    seen: float
    error: str
    untold: int = 0


class Repeats:
    """Writes errors into a log, and counts those that say the same again.

    Two errors are of one kind when message, facts, class and the line that raised them are the same: another fault on the same
    route is told in full. Texts are not looked at, because many hold something that is never the same. Safe in any number of
    threads; a kind costs some hundred bytes, and there are at most ``KINDS``.

    Args:
        log: where the lines go.
        now: gives seconds on a clock that never steps.
    """

    def __init__(self, log: logging.Logger, *, now: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[_Kind, _Known] = OrderedDict()
        self._due = math.inf

    def tell(self, message: str, error: BaseException, **facts: str) -> None:
        """Write an error, or count it for the next line of its kind.

        Args:
            message: a fixed text.
            error: what was raised.
            facts: of the kind, such as the code of the answer and the route: words of the program, not what differs each time.
        """
        if self._log.isEnabledFor(logging.DEBUG):
            self._log.error(message, exc_info=error, extra=facts)
            return
        kind = (message, tuple(facts.items()), type(error), _place(error))
        now = self._now()
        with self._lock:
            known = self._known.pop(kind, None)
            first = known is None or now - known.seen >= SECONDS_BETWEEN
            times = 1 if known is None else known.untold + 1
            if known is not None and not first and now - known.told < SECONDS_BETWEEN:
                known.untold, known.seen = times, now
                self._known[kind] = known
                return
            forgotten = self._known.popitem(last=False) if len(self._known) >= KINDS else None
            self._known[kind] = _Known(told=now, seen=now, error=summary_of(error))
            self._due = min(self._due, now + SECONDS_BETWEEN)
        if forgotten is not None:
            self._write_owed(*forgotten, now)
        more: dict[str, object] = {} if times == 1 else {"times": times}
        if first:
            self._log.error(message, exc_info=error, extra={**facts, **more})
        else:
            self._log.error(message, extra={**facts, "error": summary_of(error), **more})

    def settle(self) -> None:
        """Tell what is owed: errors that were counted, of which no line has spoken, once their last line is a minute old.

        To be called when something went well, so that the end of an outage is in the log too. Costs next to nothing.
        """
        now = self._now()
        if now < self._due:
            return
        with self._lock:
            due = [(kind, known) for kind, known in self._known.items() if now - known.told >= SECONDS_BETWEEN]
            for kind, known in due:
                if now - known.seen >= SECONDS_BETWEEN:
                    del self._known[kind]
                else:
                    self._known[kind] = _Known(told=now, seen=known.seen, error=known.error)
            self._due = min((known.told + SECONDS_BETWEEN for known in self._known.values()), default=math.inf)
        for kind, known in due:
            self._write_owed(kind, known, now)

    def _write_owed(self, kind: _Kind, known: _Known, now: float) -> None:
        if not known.untold:
            return
        message, facts, _, _ = kind
        extra = {**dict(facts), "error": known.error, "times": known.untold, "secondsSinceLast": round(now - known.seen)}
        # In a context of its own: the request that is being answered is not the one that failed.
        Context().run(self._log.error, message, extra=extra)


def _place(error: BaseException) -> tuple[str, int]:
    """The line that raised it."""
    trace = error.__traceback__
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno
