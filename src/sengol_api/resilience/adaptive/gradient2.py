"""The limit follows the ratio of the unloaded latency to the present one.

After the Gradient2 limit of Netflix (concurrency-limits, 2018), with another baseline: its long-term mean of the latency takes in
the queue that it should show, so that at a steady overload the limit climbs to its maximum. See
:mod:`~sengol_api.resilience.adaptive.baseline`.
"""

import math
from dataclasses import dataclass

from sengol_api.resilience.adaptive.baseline import LatencyAlgorithm
from sengol_api.resilience.options import at_least, between, option


@dataclass(frozen=True)
class Gradient2(LatencyAlgorithm):
    """``limit × gradient + √limit``, the gradient being ``tolerance × baseline / latency``, from one half to 1.

    Where the latency is the baseline, the limit grows by its root. In front of a service with ``c`` workers it comes to rest at
    about ``tolerance × c + √c``: all of them are busy, and a few calls are in line.
    """

    tolerance: float = option(1.2, between(1, 10), "how many times the baseline the latency may be before the limit shrinks")
    headroom: float = option(1.0, at_least(0.1), "calls that may be in line at the service, as a multiple of the root of the limit")
    weight: float = option(0.5, between(0.01, 1), "share of the way to the new limit that is gone in a window")

    def step(self, limit: float, baseline: float, latency: float) -> float:
        """The next limit, after a window with the limit in use and without drops."""
        gradient = max(0.5, min(1.0, self.tolerance * baseline / latency)) if latency > 0 else 1.0
        wanted = limit * gradient + self.headroom * math.sqrt(limit)
        return limit + self.weight * (wanted - limit)
