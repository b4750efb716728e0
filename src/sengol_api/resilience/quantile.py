"""Quantiles of the latencies of late, in bounded memory.

The buckets are those of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
guarantees", PVLDB 12, 2019): bucket ``i`` holds what lies in ``(g ** (i - 1), g ** i]`` with ``g = (1 + a) / (1 - a)``, and stands
for ``2 g ** i / (g + 1)``, which is off by at most ``a``, relatively, from everything in it. HdrHistogram (Tene) shows the same
idea to be what latencies need: as exact for milliseconds as for minutes, with some hundred buckets in all.

One such histogram for each slice of the window makes it forget: a slice that has left the window is dropped whole.
"""

import bisect
import itertools
import math
import threading
from collections import Counter

RELATIVE_ERROR = 0.02
"""Largest error of a quantile, as a share of it."""

_GROWTH = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR)
_BUCKETS_PER_E = 1.0 / math.log(_GROWTH)
_RESOLUTION = 1e-9  # seconds: no clock tells less apart, and zero has no logarithm
_SLICES = 8
_BATCH = 128


class LatencyQuantiles:
    """The latencies within a sliding time.

    To record is to append to a list, one call into C that no thread can interrupt, so it takes no lock. What was appended is
    sorted into the buckets 128 at a time, or when somebody asks, or when the slice ends.

    It forgets by the times that it is given, whether anything is recorded or not: nothing older than the window is remembered,
    and everything younger than 7/8 of it is.

    Args:
        window: length of the sliding time, in seconds.
    """

    def __init__(self, window: float) -> None:
        self._lock = threading.Lock()
        self._length = window / _SLICES
        self._ends = -math.inf
        self._fresh: list[float] = []
        self._counts: Counter[int] = Counter()
        self._slices: dict[int, Counter[int]] = {}
        self._totals: Counter[int] = Counter()

    def record(self, seconds: float, at: float) -> None:
        """Remember a latency.

        Args:
            seconds: how long a call took.
            at: monotonic seconds when it ended.
        """
        if at >= self._ends:
            with self._lock:
                self._turn(at)
        fresh = self._fresh
        fresh.append(seconds)
        if len(fresh) >= _BATCH:
            with self._lock:
                self._sort_in()

    def _turn(self, now: float) -> None:
        """Go on to the slice of this moment."""
        self._sort_in()
        number = int(now / self._length)
        for old in [each for each in self._slices if each <= number - _SLICES]:
            self._totals.subtract(self._slices.pop(old))
        self._counts = self._slices.setdefault(number, Counter())
        self._ends = (number + 1) * self._length

    def _sort_in(self) -> None:
        batch = self._fresh[:]
        del self._fresh[: len(batch)]  # what another thread appended meanwhile stays
        log, ceil = math.log, math.ceil
        buckets = [ceil(log(seconds + _RESOLUTION) * _BUCKETS_PER_E) for seconds in batch]
        self._counts.update(buckets)
        self._totals.update(buckets)

    def _remembered(self, now: float) -> dict[int, int]:
        with self._lock:
            if now >= self._ends:
                self._turn(now)
            self._sort_in()
            return dict(self._totals)

    def quantile(self, share: float, now: float, min_samples: int = 1) -> float | None:
        """The smallest latency that at least ``share`` of those remembered do not exceed, up to the relative error.

        Args:
            share: 0.95 for the 95th percentile.
            now: monotonic seconds.
            min_samples: fewer say nothing.

        Returns:
            seconds, or None when there are too few samples.
        """
        counts = self._remembered(now)
        samples = sum(counts.values())
        if samples < min_samples:
            return None
        buckets = sorted(counts)
        ranks = list(itertools.accumulate(counts[bucket] for bucket in buckets))
        bucket = buckets[bisect.bisect_left(ranks, math.ceil(share * samples))]
        return 2.0 * _GROWTH**bucket / (_GROWTH + 1.0)

    def samples(self, now: float) -> int:
        """How many latencies are remembered."""
        return sum(self._remembered(now).values())


class ObservedQuantile:
    """One quantile for those who ask at every call: worked out anew when it is older than a hundredth of the window.

    Args:
        latencies: of which it is a quantile.
        share: 0.95 for the 95th percentile.
        min_samples: with fewer there is none.
        window: of the latencies, in seconds.
    """

    def __init__(self, latencies: LatencyQuantiles, share: float, min_samples: int, window: float) -> None:
        self.latencies = latencies
        self._share = share
        self._min_samples = min_samples
        self._holds_for = window / 100.0
        self._until = -math.inf
        self._value: float | None = None

    def current(self, now: float) -> float | None:
        """The quantile in seconds, or None when there are too few samples."""
        if now >= self._until:
            self._until = now + self._holds_for  # first: the other threads need not work it out as well
            self._value = self.latencies.quantile(self._share, now, self._min_samples)
        return self._value
