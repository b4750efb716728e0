"""What a circuit breaker remembers of the calls of late. Every window forgets by the clock, whether calls come or not."""

from collections import deque
from typing import NamedTuple, Protocol


class Tally(NamedTuple):
    """Calls in a window, and how many of them failed or were slow."""

    calls: int
    failures: int
    slow: int


class Window(Protocol):
    """Outcomes of the calls of late."""

    needs_successes: bool
    """Whether calls that went well have to be recorded at all."""

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Remember the outcome of one call."""
        ...

    def tally(self, now: float) -> Tally:
        """What is remembered at this moment."""
        ...


class FailureTimes:
    """When calls failed: all that a threshold of failures in a time needs, so that success costs nothing.

    Args:
        seconds: length of the window.
        keep: how many failures to remember at most.
    """

    needs_successes = False

    def __init__(self, seconds: float, keep: int) -> None:
        self._seconds = seconds
        self._times: deque[float] = deque(maxlen=keep)

    def record(self, now: float, *, failed: bool, slow: bool) -> None:  # noqa: ARG002 - nothing is slow to this window
        """Remember a failure."""
        if failed:
            self._times.append(now)

    def tally(self, now: float) -> Tally:
        """Failures within the window; the calls are not known."""
        while self._times and self._times[0] <= now - self._seconds:
            self._times.popleft()
        return Tally(0, len(self._times), 0)


class Streak:
    """Failures since the last success."""

    needs_successes = True

    def __init__(self) -> None:
        self._tally = Tally(0, 0, 0)

    def record(self, now: float, *, failed: bool, slow: bool) -> None:  # noqa: ARG002 - time does not matter here
        """Lengthen the streak, or end it."""
        calls, failures, slows = self._tally
        self._tally = Tally(calls + 1, failures + 1, slows + slow) if failed else Tally(0, 0, 0)

    def tally(self, now: float) -> Tally:  # noqa: ARG002 - time does not matter here
        """The streak."""
        return self._tally


class LastCalls:
    """The outcomes of the last calls.

    Args:
        calls: how many.
    """

    needs_successes = True

    def __init__(self, calls: int) -> None:
        self._outcomes: deque[tuple[bool, bool]] = deque(maxlen=calls)
        self._failures = self._slow = 0

    def record(self, now: float, *, failed: bool, slow: bool) -> None:  # noqa: ARG002 - time does not matter here
        """Remember a call in place of the oldest."""
        if len(self._outcomes) == self._outcomes.maxlen:
            old_failed, old_slow = self._outcomes[0]
            self._failures -= old_failed
            self._slow -= old_slow
        self._outcomes.append((failed, slow))
        self._failures += failed
        self._slow += slow

    def tally(self, now: float) -> Tally:  # noqa: ARG002 - time does not matter here
        """The last calls."""
        return Tally(len(self._outcomes), self._failures, self._slow)


class TimeBuckets:
    """Counts of the calls in a time.

    They are kept in parts that are forgotten one by one: exact to a twentieth of the window, whatever the traffic.

    Args:
        seconds: length of the window.
    """

    needs_successes = True
    PARTS = 20

    def __init__(self, seconds: float) -> None:
        self._part = max(seconds / self.PARTS, 1e-9)  # much less, and the number of a part would not fit a float
        self._parts: deque[list[int]] = deque()  # [number of the part, calls, failures, slow]

    def _forget(self, now: float) -> int:
        current = int(now // self._part)
        while self._parts and self._parts[0][0] <= current - self.PARTS:
            self._parts.popleft()
        return current

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Count a call."""
        current = self._forget(now)
        if not self._parts or self._parts[-1][0] != current:
            self._parts.append([current, 0, 0, 0])
        part = self._parts[-1]
        part[1] += 1
        part[2] += failed
        part[3] += slow

    def tally(self, now: float) -> Tally:
        """The calls within the window."""
        self._forget(now)
        return Tally(*(sum(part[column] for part in self._parts) for column in (1, 2, 3)))
