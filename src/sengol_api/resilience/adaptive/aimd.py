"""Additive increase, multiplicative decrease.

After D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks",
Computer Networks and ISDN Systems 17 (1989); V. Jacobson, "Congestion Avoidance and Control", SIGCOMM 1988.
"""

from dataclasses import dataclass

from sengol_api.resilience.adaptive.algorithm import OnlyLimit, clamped
from sengol_api.resilience.adaptive.sample import Sample
from sengol_api.resilience.options import Options, above, between, option


@dataclass(frozen=True)
class Aimd(Options):
    """Looks for the limit by going over it: one more while all is well, a share less when calls are dropped.

    It needs nothing but the drops, and so works where latency says little; but it lets the line at the service grow until calls
    time out, unless ``max_latency`` says what is too slow.
    """

    increase: float = option(1.0, above(0), "calls more after a window that went well with the limit in use")
    decrease: float = option(0.9, between(0.1, 0.99), "what is left of the limit after a window with drops, or too slow a one")
    max_latency: float | None = option(None, above(0).or_none(), "median latency above which a window is too slow", "s")

    def start(self, limit: float) -> OnlyLimit:
        """The state before any sample."""
        return OnlyLimit(limit)

    def update(self, state: OnlyLimit, sample: Sample, least: float, most: float) -> OnlyLimit:
        """The state after one more window."""
        limit = state.limit
        slow = self.max_latency is not None and sample.latency is not None and sample.latency > self.max_latency
        if sample.dropped or slow:
            limit *= self.decrease
        elif sample.in_use:
            limit += self.increase
        return OnlyLimit(clamped(limit, least, most))
