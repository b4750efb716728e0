"""What the policies tell, to the logs, the metrics and the traces: one subscription for all of a registry.

::

    end = observe(registry, telemetry)           # the pipelines of today and those to come; end() ends it

A change of state is a line of its own: a breaker that opened, a store that was lost. What comes with single calls (a retry, a rung
of the ladder, a failure of the second tier) would be a line a request just when there is trouble, so of each kind and pipeline
there is at most one line a minute, with how many there were since the last; ``LOG_LEVEL=debug`` shows each.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sengol_api.observability.facts import facts_of_event
from sengol_api.observability.withheld import summary_of
from sengol_api.resilience import (
    AttemptLate,
    AttemptTimedOut,
    CallRejected,
    ChaosInjected,
    CircuitChanged,
    CircuitState,
    Event,
    FellBack,
    NotCached,
    NothingServed,
    OverloadBegan,
    OverloadEnded,
    RateStoreBack,
    RateStoreLost,
    RefreshFailed,
    Registry,
    RetryGaveUp,
    Retrying,
    StaleServed,
    TierFailed,
)

if TYPE_CHECKING:
    from sengol_api.observability.telemetry import Telemetry

_log = logging.getLogger("sengol_api.resilience")

SECONDS_BETWEEN: Final = 60.0

MESSAGES: Final[dict[type[Event], str]] = {
    CircuitChanged: "circuit breaker changed",
    RateStoreLost: "the shared store of a rate limit is away; each replica limits by itself",
    RateStoreBack: "the shared store of a rate limit is back",
    OverloadBegan: "overload began",
    OverloadEnded: "overload ended",
    ChaosInjected: "calls are spoilt on purpose",
    TierFailed: "the second tier of a cache failed",
    RetryGaveUp: "calls failed after all their attempts",
    NothingServed: "calls failed, and no alternative had an answer",
    FellBack: "alternatives answer in the place of a dependency",
    StaleServed: "stale values are served",
    RefreshFailed: "values could not be made anew",
    AttemptTimedOut: "attempts were cut",
    AttemptLate: "answers came after their time",
    Retrying: "attempts failed and are made again",
    CallRejected: "calls were refused",
    NotCached: "results could not be kept",
}
"""Events that people hear of, and in which words; others are told at debug only."""

CHANGES: Final = (CircuitChanged, RateStoreLost, RateStoreBack)
"""Each of these is a line: they come with a change of state, not with calls."""

_GRAVE: Final = (RateStoreLost, OverloadBegan, ChaosInjected, TierFailed, NothingServed)


class EventLog:
    """Writes events into the log.

    Args:
        now: gives seconds on a clock that never steps.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[tuple[str, type[Event]], float] = {}
        self._since: dict[tuple[str, type[Event]], int] = {}

    def heard(self, event: Event) -> None:
        """Write an event, or count it for the next line of its kind."""
        kind = type(event)
        level = _level(event) if kind in MESSAGES else logging.DEBUG
        times: int | None = 1
        if kind in MESSAGES and kind not in CHANGES and not _log.isEnabledFor(logging.DEBUG):
            times = self._due((event.pipeline, kind))
        if times is not None and _log.isEnabledFor(level):
            self._write(event, level, times)

    def _write(self, event: Event, level: int, times: int) -> None:
        facts: dict[str, object] = {"pipeline": event.pipeline, **facts_of_event(event)}
        error = getattr(event, "error", None)
        if isinstance(error, BaseException):
            facts["error"] = summary_of(error)
        if times > 1:
            facts["times"] = times
        _log.log(level, MESSAGES.get(type(event), type(event).__name__), extra=facts)

    def _due(self, about: tuple[str, type[Event]]) -> int | None:
        """How many there were since the last line, this one included; None while the last line is too young for another."""
        now = self._now()
        with self._lock:
            count = self._since.get(about, 0) + 1
            last = self._last.get(about)
            if last is not None and now - last < SECONDS_BETWEEN:
                self._since[about] = count
                return None
            self._last[about] = now
            self._since[about] = 0
            return count


def _level(event: Event) -> int:
    if isinstance(event, CircuitChanged):
        return logging.WARNING if event.state in {CircuitState.OPEN, CircuitState.ISOLATED} else logging.INFO
    return logging.WARNING if isinstance(event, _GRAVE) else logging.INFO


def observe(registry: Registry, telemetry: "Telemetry") -> Callable[[], None]:
    """Let the logs, the metrics and the traces have what a registry tells, and measure its calls.

    Args:
        registry: of the pipelines.
        telemetry: of this worker.

    Returns:
        what ends that when it is called.
    """
    return telemetry.observe(registry)
