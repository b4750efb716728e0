"""The limit keeps a few calls in line at the service.

After L. Brakmo and L. Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global Internet", IEEE JSAC 13(8), 1995, as the
Vegas limit of Netflix (concurrency-limits, 2018) applies it to calls, with another baseline: see
:mod:`~sengol_api.resilience.adaptive.baseline`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sengol_api.resilience.adaptive.baseline import LatencyAlgorithm
from sengol_api.resilience.options import above, option


@dataclass(frozen=True)
class Vegas(LatencyAlgorithm):
    """Reckons how many calls are in line, ``limit × (1 - baseline / latency)``, and keeps that between two bounds.

    The bounds are ``alpha`` and ``beta`` times the logarithm of the limit (to the base 10, at least 1), and so is the step. While
    hardly anybody is in line, the step is ``beta`` times as large.
    """

    alpha: float = option(3.0, above(0), "calls in line below which the limit grows, times the logarithm of the limit")
    beta: float = option(6.0, above(0), "calls in line above which it shrinks, times the logarithm of the limit")

    def contradictions(self) -> Iterator[str]:
        """The bounds are in order."""
        if self.alpha >= self.beta:
            yield f"alpha={self.alpha:g} is not below beta={self.beta:g}, it must be"

    def step(self, limit: float, baseline: float, latency: float) -> float:
        """The next limit, after a window with the limit in use and without drops."""
        unit = max(1.0, math.log10(limit))
        in_line = limit * (1.0 - min(1.0, baseline / latency)) if latency > 0 else 0.0
        if in_line <= unit:
            return limit + self.beta * unit
        if in_line < self.alpha * unit:
            return limit + unit
        if in_line > self.beta * unit:
            return limit - unit
        return limit
