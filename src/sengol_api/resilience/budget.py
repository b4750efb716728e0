"""Retry budget: how many retries the calls of late may cost, so that an outage is never amplified.

After the retry budget of Finagle (Twitter): a token bucket that every call fills a little and every retry empties by one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from sengol_api.resilience.counter import Counter
from sengol_api.resilience.options import Options, at_least, between, option


@dataclass(frozen=True)
class RetryBudget(Options):
    """How many retries are allowed: a share of the calls, and a floor for those who call seldom."""

    ratio: float = option(0.2, between(0, 10), "retries that each call adds")
    per_second: float = option(1.0, at_least(0), "retries that each second adds, so that rare calls can be retried", "1/s")
    burst: float = option(100.0, at_least(1), "most retries that can be saved up")


class Budget:
    """A retry budget at work.

    A call only counts itself; what the calls since the last retry have earned is worked out when the next retry asks. As only
    retries take, this gives the same as filling the bucket call by call.

    Args:
        options: of the bucket.
        now: monotonic seconds.
        calls: counts the calls.
    """

    def __init__(self, options: RetryBudget, now: Callable[[], float], calls: Counter) -> None:
        self._options = options
        self._now = now
        self._calls = calls
        self._lock = threading.Lock()
        self._tokens = min(options.burst, 10.0 * options.per_second)  # as after ten quiet seconds
        self._seen = calls.value
        self._filled_at = now()

    def _fill(self) -> None:
        now, calls = self._now(), self._calls.value
        earned = self._options.ratio * (calls - self._seen) + self._options.per_second * (now - self._filled_at)
        self._tokens = min(self._options.burst, self._tokens + earned)
        self._seen, self._filled_at = calls, now

    @property
    def options(self) -> RetryBudget:
        """Of the bucket. To set others settles what was earned on the old ones."""
        return self._options

    @options.setter
    def options(self, options: RetryBudget) -> None:
        with self._lock:
            self._fill()
            self._options = options

    def withdraw(self) -> bool:
        """Take the price of one retry, if it is there."""
        with self._lock:
            self._fill()
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True

    def give_back(self) -> None:
        """Return the price of a retry that was not made after all."""
        with self._lock:
            self._tokens += 1.0  # what is above the burst is cut at the next filling

    @property
    def tokens(self) -> float:
        """Retries that are left now."""
        with self._lock:
            self._fill()
            return self._tokens
