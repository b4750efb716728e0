"""Whether an attempt that the caller's deadline cut says anything about the provider."""

from typing import Final

from sengol_api.resilience import Clock, TimedOut, is_failure
from sengol_api.resilience.quantile import LatencyQuantiles, ObservedQuantile

WINDOW: Final = 120.0
"""Seconds for which a latency is remembered."""
LEAST: Final = 0.2
"""Seconds. No model answers faster than that as a rule, so a cut before says nothing."""


class Patience:
    """Knows how long the provider takes of late when it is well.

    A caller with little time left would cut a request that a healthy provider needs ten seconds for; some such callers must not
    open the circuit for all. A silent provider, on the other hand, may only ever be seen as cut by deadlines. So a cut counts when
    nine in ten of the answers of late had come in that time, or when there were none.

    Args:
        clock: that ends what is remembered.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latencies = LatencyQuantiles(WINDOW)
        self._usual = ObservedQuantile(self._latencies, 0.9, 1, WINDOW)

    def learn(self, seconds: float) -> None:
        """An answer took so long."""
        self._latencies.record(seconds, self._clock.now())

    def is_failure(self, error: BaseException) -> bool:
        """Whether an error speaks against the provider."""
        if isinstance(error, TimedOut) and error.by_deadline:
            return error.limit >= max(LEAST, self._usual.current(self._clock.now()) or 0.0)
        return is_failure(error)
