"""What counts while the service works: counters and histograms with labels."""

import threading
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from sengol_api.observability.metrics.model import Family, Labels, Sample

MOST_SERIES: Final = 500
OTHER: Final = "other"


class Count:
    """A counter with labels. Safe in any number of threads.

    It holds no more than ``most`` combinations of label values; what comes beyond is counted under ``other``, so that no input can
    make it grow.

    Args:
        family: of the catalogue.
        most: combinations of label values.
    """

    def __init__(self, family: Family, *, most: int = MOST_SERIES) -> None:
        self.family = family
        self._most = most
        self._lock = threading.Lock()
        self._values: dict[Labels, float] = {}

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Count ``amount`` more; one that is negative, or no number, is not counted."""
        if not amount >= 0.0:
            return
        with self._lock:
            if labels not in self._values and len(self._values) >= self._most:
                labels = (OTHER,) * len(self.family.labels)
            self._values[labels] = self._values.get(labels, 0.0) + amount

    def collect(self) -> Iterator[Sample]:
        """The counts so far."""
        with self._lock:
            values = list(self._values.items())
        return ((self.family, labels, value) for labels, value in values)


class Observations:
    """One series of a histogram. Safe in any number of threads."""

    __slots__ = ("_bounds", "_counts", "_lock", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self._sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float) -> None:
        """Count ``value`` in its bucket: the first whose bound is not below it."""
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            self._sum += value
            self._counts[bucket] += 1

    def value(self) -> list[float]:
        """The sum, then the count of each bucket."""
        with self._lock:
            return [self._sum, *map(float, self._counts)]


class Distribution:
    """A histogram with labels.

    Args:
        family: of the catalogue.
        most: combinations of label values; what comes beyond is observed under ``other``.
    """

    def __init__(self, family: Family, *, most: int = MOST_SERIES) -> None:
        self.family = family
        self._most = most
        self._lock = threading.Lock()
        self._series: dict[Labels, Observations] = {}

    def series(self, *labels: str) -> Observations:
        """The series of these labels: to be kept where it is used often."""
        found = self._series.get(labels)
        if found is not None:
            return found
        with self._lock:
            if labels not in self._series and len(self._series) >= self._most:
                labels = (OTHER,) * len(self.family.labels)
            return self._series.setdefault(labels, Observations(self.family.buckets))

    def observe(self, *labels: str, value: float) -> None:
        """Count ``value`` in its bucket."""
        self.series(*labels).observe(value)

    def collect(self) -> Iterator[Sample]:
        """What was observed so far."""
        with self._lock:
            series = list(self._series.items())
        return ((self.family, labels, observations.value()) for labels, observations in series)
