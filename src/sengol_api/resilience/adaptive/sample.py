"""What an algorithm learns from: not single calls but windows of them, so that one outlier does not swing the limit."""

from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import NamedTuple

_KEPT = 1000  # latencies in a window: the median of more is no better


class Outcome(Enum):
    """What a call says about the load of what was called."""

    SUCCESS = "success"
    """Its time counts."""
    IGNORED = "ignored"
    """It says nothing: cancelled, rejected further inside, or failed for a reason that has nothing to do with load."""
    DROPPED = "dropped"
    """It was lost to overload. Its time says only that an answer would have taken longer, so it never counts as a latency."""


class Sample(NamedTuple):
    """One window of calls.

    Attributes:
        latency: median seconds of the successes; None when there was none.
        in_use: the limit was reached, so that a higher one would have been used.
        dropped: more calls were lost to overload than is tolerated.
    """

    latency: float | None
    in_use: bool = True
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """When a window is over.

    Attributes:
        seconds: it lasts at least.
        calls: that it holds at least.
        tolerated: share of dropped calls that is not yet an overload.
    """

    seconds: float
    calls: int
    tolerated: float


class Window:
    """Collects the calls of one window.

    Args:
        started: monotonic seconds.
    """

    __slots__ = ("_dropped", "_latencies", "_successes", "in_use", "refused", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.in_use = False
        self.refused = 0
        self._latencies: list[float] = []
        self._successes = 0
        self._dropped = 0

    @property
    def calls(self) -> int:
        """Calls that said something."""
        return self._successes + self._dropped

    def add(self, latency: float, *, dropped: bool) -> None:
        """Count a call that ended."""
        if dropped:
            self._dropped += 1
            return
        if len(self._latencies) < _KEPT:
            self._latencies.append(latency)
        else:
            self._latencies[self._successes % _KEPT] = latency
        self._successes += 1

    def is_over(self, now: float, options: WindowOptions) -> bool:
        """Whether it is long and full enough."""
        return self.calls >= options.calls and now - self.started >= options.seconds

    def sample(self, options: WindowOptions) -> Sample:
        """What it shows."""
        latency = median(self._latencies) if self._latencies else None
        return Sample(latency, self.in_use, self._dropped > options.tolerated * self.calls)
