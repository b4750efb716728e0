"""The last five minutes of all workers together."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add, itemgetter
from typing import Final

from sengol_api.observability.metrics.model import CATALOGUE, Labels, Samples, Value, merged
from sengol_api.ops.status.trail import KEPT, STEP

MINUTE: Final = round(60 / STEP)
"""Steps of a minute."""

Which = Sequence[Labels] | None
"""Series of a family: these, or all."""


class Timeline:
    """Adds up the steps that workers tell, each as it comes, and forgets what is older than five minutes."""

    def __init__(self) -> None:
        self._steps: dict[int, Samples] = {}
        self._known: dict[int, int] = {}

    @property
    def known(self) -> dict[str, int]:
        """The last step of each worker, by its place: later ones are all that it need tell."""
        return {str(place): step for place, step in self._known.items()}

    def add(self, place: int, steps: Iterable[tuple[int, Samples]], *, now: float) -> None:
        """Take what a worker told.

        Args:
            place: of the worker.
            steps: numbers of steps, and what its counters grew by.
            now: seconds since the epoch.
        """
        newest = self.newest(now)
        for step, grown in sorted(steps, key=itemgetter(0)):
            if newest - KEPT < step <= newest and step > self._known.get(place, -1):
                self._steps[step] = merged([(self._steps.get(step, {}), True), (grown, True)])
                self._known[place] = step
        for old in [each for each in self._steps if not newest - KEPT < each <= newest]:
            del self._steps[old]
        # After the wall clock was set back a worker begins again with a lower number.
        self._known = {place: min(step, newest) for place, step in self._known.items()}

    @staticmethod
    def newest(now: float) -> int:
        """The last step that is over."""
        return int(now // STEP) - 1

    def window(self, now: float) -> "Window":
        """The last five minutes as they are known at ``now``, in seconds since the epoch."""
        newest = self.newest(now)
        return Window([self._steps.get(step) for step in range(newest - KEPT + 1, newest + 1)])


class Window:
    """Some steps in a row; None where no worker noted one."""

    def __init__(self, steps: Sequence[Samples | None]) -> None:
        self.steps = steps

    def last(self, steps: int) -> "Window":
        """The last ones of these steps."""
        return Window(self.steps[-steps:])

    @property
    def seconds(self) -> float:
        """How much time was noted; not less than a step."""
        return max(1, sum(step is not None for step in self.steps)) * STEP

    def series(self, family: str, which: Which = None) -> list[float | None]:
        """How much a counter grew with each step; None where nothing was noted."""
        return [None if step is None else _sum(step, family, which) for step in self.steps]

    def total(self, family: str, which: Which = None) -> float:
        """How much a counter grew in all these steps."""
        return sum(_sum(step, family, which) for step in self.steps if step)

    def by_label(self, family: str) -> dict[Labels, float]:
        """How much each series of a counter grew."""
        found: dict[Labels, float] = {}
        for step in self.steps:
            for labels, value in (step or {}).get(family, {}).items():
                if not isinstance(value, list):
                    found[labels] = found.get(labels, 0.0) + value
        return found

    def quantiles(self, family: str, q: float, which: Which = None) -> list[float | None]:
        """A quantile of a histogram for each step; None where nothing was observed."""
        return [
            None if step is None else quantile(_counts([step], family, which), CATALOGUE[family].buckets, q) for step in self.steps
        ]

    def quantile(self, family: str, q: float, which: Which = None) -> float | None:
        """The same over all these steps."""
        steps = [step for step in self.steps if step]
        return quantile(_counts(steps, family, which), CATALOGUE[family].buckets, q)


def _values(step: Samples, family: str, which: Which) -> Iterator[Value]:
    values = step.get(family, {})
    return iter(values.values()) if which is None else (values[labels] for labels in which if labels in values)


def _sum(step: Samples, family: str, which: Which) -> float:
    return sum(value for value in _values(step, family, which) if not isinstance(value, list))


def _counts(steps: Iterable[Samples], family: str, which: Which) -> list[float]:
    """The buckets of all these series, added up."""
    found: list[float] = []
    for step in steps:
        for value in _values(step, family, which):
            if isinstance(value, list):
                found = list(map(add, found, value[1:])) if found else value[1:]
    return found


def quantile(counts: Sequence[float], bounds: Sequence[float], q: float) -> float | None:
    """A quantile of what fell into buckets, as Prometheus estimates it: evenly spread within its bucket.

    Args:
        counts: of each bucket by itself; the last has no bound.
        bounds: upper bounds of the others.
        q: 0.95 for the 95th percentile.

    Returns:
        None when nothing was observed; the highest bound for what lies above it.
    """
    reached = list(accumulate(counts))
    if not reached or not reached[-1]:
        return None
    rank = q * reached[-1]
    bucket = next(number for number, count in enumerate(reached) if count >= rank)
    if bucket >= len(bounds):
        return bounds[-1]
    below = bounds[bucket - 1] if bucket else 0.0
    before = reached[bucket] - counts[bucket]
    return below + (bounds[bucket] - below) * (rank - before) / counts[bucket]
