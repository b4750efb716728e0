"""The limit at work: outcomes of calls in, a number of calls out. Decides nothing about who may go."""

import threading
from collections.abc import Callable
from typing import Any

from sengol_api.resilience.adaptive.algorithm import LimitAlgorithm, clamped
from sengol_api.resilience.adaptive.sample import Outcome, Window, WindowOptions
from sengol_api.resilience.errors import Rejected
from sengol_api.resilience.events import report
from sengol_api.resilience.transient import ErrorTypes, as_predicate

Changed = Callable[[int, int, float | None], None]
"""Takes the limit before, the limit after, and the latency that it learned from."""

_LONGEST = 60.0  # seconds to ask anybody to stay away for
_CENSORED = 2.0  # times the latency: a call that was cut earlier than this was not given a fair chance


def is_overload(error: BaseException) -> bool:
    """Whether an error speaks of overload: a timeout, or one by which the other side asks to wait (``retry_after``)."""
    return isinstance(error, TimeoutError) or getattr(error, "retry_after", None) is not None


class Follower:
    """Follows the latency with an algorithm.

    Its lock is held for arithmetic only; the algorithm, which may be the user's own, runs outside of it, one window at a time.

    Args:
        algorithm: finds the limit.
        initial: limit to begin with.
        now: monotonic seconds.
        changed: told of a change, without a lock.
    """

    def __init__(self, algorithm: LimitAlgorithm[Any], initial: float, now: Callable[[], float], changed: Changed) -> None:
        self._lock = threading.Lock()
        self._algorithm = algorithm
        self._state = algorithm.start(initial)
        self._now = now
        self._changed = changed
        self._window = Window(now())
        self._updating = False
        self._excess = 0.0  # refused calls for each that was done, in the last window
        self.limit = max(1, int(initial))
        self.latency: float | None = None

    def apply(
        self,
        algorithm: LimitAlgorithm[Any],
        least: float,
        most: float,
        window: WindowOptions,
        dropped: ErrorTypes,
        ignored: ErrorTypes,
    ) -> None:
        """Go on with these options; a new algorithm goes on from the limit of the old one."""
        with self._lock:
            before = self.limit
            if algorithm != self._algorithm or not least <= self._state.limit <= most:
                self._algorithm = algorithm
                self._state = algorithm.start(clamped(self._state.limit, least, most))
            self._least, self._most, self._options = least, most, window
            self._is_dropped, self._is_ignored = as_predicate(dropped), as_predicate(ignored)
            self.limit = after = max(1, int(self._state.limit))
        if before != after:
            self._changed(before, after, self.latency)

    def outcome_of(self, error: Exception, took: float) -> Outcome:
        """What a failed call says.

        A call that was cut by its caller's deadline counts as dropped only if it had the time that an answer takes: otherwise
        a caller in a hurry could talk the limit down for all.
        """
        if isinstance(error, Rejected):
            return Outcome.IGNORED
        try:
            if self._is_dropped(error):
                latency = self.latency
                hurried = getattr(error, "by_deadline", False) and latency is not None and took < _CENSORED * latency
                return Outcome.IGNORED if hurried else Outcome.DROPPED
            return Outcome.IGNORED if self._is_ignored(error) else Outcome.SUCCESS
        except Exception as broken:  # noqa: BLE001 - the caller shall get the error of the work, not that of a predicate
            report(broken, "a predicate of an adaptive limit raised", self._is_dropped)
            return Outcome.IGNORED

    def reached(self, *, refused: bool) -> None:
        """The limit was reached; perhaps a call was refused for it."""
        window = self._window
        window.in_use = True
        window.refused += refused

    def ended(self, outcome: Outcome, latency: float) -> None:
        """A call ended after ``latency`` seconds."""
        if outcome is Outcome.IGNORED:
            return
        now = self._now()
        with self._lock:
            window = self._window
            window.add(latency, dropped=outcome is Outcome.DROPPED)
            if self._updating or not window.is_over(now, self._options):
                return
            self._updating = True
            self._window = Window(now)
            algorithm, state, options, least, most = self._algorithm, self._state, self._options, self._least, self._most
        sample = window.sample(options)
        try:
            after = algorithm.update(state, sample, least, most)
            limit = max(1, int(clamped(int(after.limit), least, most)))  # int() refuses a NaN
        except Exception as error:  # noqa: BLE001 - an algorithm of the user's; the call that ended is not to blame
            report(error, "the algorithm of an adaptive limit raised", algorithm)
            after, limit = state, self.limit
        with self._lock:
            self._updating = False
            self._excess = window.refused / window.calls
            self.latency = sample.latency or self.latency
            before = self.limit
            if state is self._state:  # no other options in the meantime
                self._state, self.limit = after, limit
            limit = self.limit
        if before != limit:
            self._changed(before, limit, self.latency)

    @property
    def retry_after(self) -> float:
        """When to come back: after the time of a call, longer by as many times as more came than could be done."""
        return min(_LONGEST, (self.latency or self._options.seconds) * (1.0 + self._excess))
