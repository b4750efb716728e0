"""The limit follows how much of a call is work at the one station that does it, and how much is waiting elsewhere.

Where calls wait for others most of the time (a model, a database), their latency says little of the load of this process: the
others may be slow, and then more calls at once are no burden. What bounds them is one station, such as the thread that computes. By
Little's law (J. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9(3), 1961) the numbers of calls there and
elsewhere are as their times there and elsewhere: so the two, counted, say how many calls at once keep the station at work.
"""

from dataclasses import dataclass
from typing import NamedTuple

from sengol_api.resilience.adaptive.algorithm import clamped
from sengol_api.resilience.adaptive.sample import Sample
from sengol_api.resilience.adaptive.station import Station
from sengol_api.resilience.options import Options, above, between, instance, option

_IDLE = 0.001  # calls at the station, below which it counts as empty


class OccupancyState(NamedTuple):
    """The limit is all that it knows."""

    limit: float


@dataclass(frozen=True)
class Occupancy(Options):
    """``at_station + elsewhere / busy``: those at the station, and as many as are elsewhere while it is kept busy.

    While the station is busy all the time, those elsewhere are as many as that takes; while it is busy for a share of the time,
    by that share too few. It needs no baseline and no probing, finds the number in one window, and follows in the next when
    what calls wait for gets slower, or is not there at all.
    """

    station: Station = option(..., instance(Station), "where the work is done; the pipeline's calls are made inside of its `call`")
    at_station: float = option(1.5, above(0), "calls that shall be at the station: one is worked at, the rest are in line")
    weight: float = option(0.5, between(0.01, 1), "share of the way to the new limit that is gone in a window")
    growth: float = option(4.0, between(1.1, 10), "times the present limit that the new one may be")

    def start(self, limit: float) -> OccupancyState:
        """The state before any sample."""
        return OccupancyState(limit)

    def update(self, state: OccupancyState, sample: Sample, least: float, most: float) -> OccupancyState:
        """The state after one more window."""
        limit, (under_way, at_work) = state.limit, self.station.load()
        if not sample.in_use:
            return OccupancyState(clamped(limit, least, most))
        elsewhere = max(0.0, under_way - at_work)
        wanted = min(self.at_station + elsewhere / clamped(at_work, _IDLE, 1.0), self.growth * limit)
        return OccupancyState(clamped(limit + self.weight * (wanted - limit), least, most))
