"""The limit follows how much of a call is work at the one station that does it, and how much is waiting elsewhere.

Where calls wait for others most of the time (a model, a database), their latency says little of the load of this process: the
others may be slow, and then more calls at once are no burden. What bounds them is one station, such as the thread that computes. By
Little's law (J. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9(3), 1961) the numbers of calls there and
elsewhere are as their times there and elsewhere: so the two, counted, say how many calls at once keep the station at work.
"""

import math
from dataclasses import dataclass

from sengol_api.resilience.adaptive.algorithm import OnlyLimit, clamped
from sengol_api.resilience.adaptive.sample import Sample
from sengol_api.resilience.adaptive.station import Station
from sengol_api.resilience.options import Options, above, at_least, between, instance, option

_IDLE = 0.001  # share of the time below which a station counts as never busy


@dataclass(frozen=True)
class Occupancy(Options):
    """``at_station + needed + headroom × √needed``, where ``needed`` is ``elsewhere / busy``.

    While the station is busy all the time, those elsewhere are as many as that takes; while it is busy for a share of the time,
    by that share too few. They come back by chance, so the root of their number is let in besides (square-root staffing: S. Halfin
    and W. Whitt, "Heavy-Traffic Limits for Queues with Many Exponential Servers", Operations Research 29(3), 1981). It needs no
    baseline and no probing, finds the number in a few windows, and follows when what calls wait for gets slower, or is not there.
    """

    station: Station = option(..., instance(Station), "where the work is done; the pipeline's calls are made inside of its `call`")
    at_station: float = option(1.25, above(0), "calls that shall be at the station: one is worked at, the rest are in line")
    headroom: float = option(0.8, at_least(0), "calls more, as a multiple of the root of those that are needed elsewhere")
    weight: float = option(0.5, between(0.01, 1), "share of the way to the new limit that is gone in a window")
    growth: float = option(4.0, between(1.1, 10), "times the present limit that the new one may be")

    def start(self, limit: float) -> OnlyLimit:
        """The state before any sample."""
        return OnlyLimit(limit)

    def update(self, state: OnlyLimit, sample: Sample, least: float, most: float) -> OnlyLimit:
        """The state after one more window."""
        limit, (under_way, at_work, busy) = state.limit, self.station.load()
        if not sample.in_use:
            return OnlyLimit(clamped(limit, least, most))
        needed = max(0.0, under_way - at_work) / max(busy, _IDLE)
        wanted = min(self.at_station + needed + self.headroom * math.sqrt(needed), self.growth * limit)
        return OnlyLimit(clamped(limit + self.weight * (wanted - limit), least, most))
