"""What a metric is, and how those of several workers become one.

Samples travel between workers as plain JSON: by the name of the family, each with the values of its labels and its own value. A
histogram's value is a list: the sum of what was observed, then the count of each bucket by itself, the last one without a bound.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

Value: TypeAlias = float | list[float]
Labels: TypeAlias = tuple[str, ...]
Sample: TypeAlias = tuple["Family", Labels, Value]
Samples: TypeAlias = dict[str, dict[Labels, Value]]
"""Values by the name of the family and the labels."""

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bounds of the buckets for durations: from an answer of the cache to the longest request."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all its label values.

    Attributes:
        name: by the conventions of Prometheus: base units, and ``_total`` for what only grows.
        kind: what it is.
        help: its meaning.
        labels: names of its labels.
        across: how the values of several workers become one. Only counters and histograms of workers that are gone still count.
        buckets: upper bounds of a histogram's buckets.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    across: Literal["sum", "max", "min"] = "sum"
    buckets: tuple[float, ...] = ()

    @property
    def lasts(self) -> bool:
        """Whether what a worker counted still counts when it is gone."""
        return self.kind != "gauge" and self.across == "sum"


class Catalogue(Mapping[str, Family]):
    """Families by their names; each exists once."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def counter(self, name: str, text: str, *labels: str) -> Family:
        """What only grows."""
        return self._add(Family(name, "counter", text, labels))

    def gauge(self, name: str, text: str, *labels: str, across: Literal["sum", "max", "min"] = "sum") -> Family:
        """What goes up and down."""
        return self._add(Family(name, "gauge", text, labels, across))

    def histogram(self, name: str, text: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Family:
        """How often what was observed fell into each bucket."""
        return self._add(Family(name, "histogram", text, labels, buckets=buckets))

    def _add(self, family: Family) -> Family:
        if family.name in self._families:
            raise ValueError(f"the metric {family.name} is there already")
        self._families[family.name] = family
        return family

    def __getitem__(self, name: str) -> Family:
        return self._families[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._families)

    def __len__(self) -> int:
        return len(self._families)


CATALOGUE: Final = Catalogue()
"""Every metric of the service."""


_ACROSS: Final[Mapping[str, Callable[[float, float], float]]] = {"sum": operator.add, "max": max, "min": min}


def gathered(samples: Iterable[Sample]) -> Samples:
    """Samples by family and labels; those with the same labels are added up as those of several workers are."""
    found: Samples = {}
    for family, labels, value in samples:
        _put(found, family, labels, value)
    return found


def merged(parts: Iterable[tuple[Samples, bool]]) -> Samples:
    """The samples of several workers as one.

    Args:
        parts: of each worker, and whether it lives. What a gauge of a worker that is gone said is no more true; what a counter of
            it counted has happened, and a sum that went down would be taken for a restart.
    """
    found: Samples = {}
    for part, lives in parts:
        for name, values in part.items():
            family = CATALOGUE.get(name)
            if family is not None and (lives or family.lasts):
                for labels, value in values.items():
                    _put(found, family, labels, value)
    return found


def _put(found: Samples, family: Family, labels: Labels, value: Value) -> None:
    values = found.setdefault(family.name, {})
    known = values.get(labels)
    if known is None:
        values[labels] = value
    elif isinstance(known, list) and isinstance(value, list):
        values[labels] = list(map(operator.add, known, value))
    elif not isinstance(known, list) and not isinstance(value, list):
        values[labels] = _ACROSS[family.across](known, value)


def to_json(samples: Samples) -> dict[str, list[list[Any]]]:
    """Samples as another worker takes them."""
    return {name: [[list(labels), value] for labels, value in values.items()] for name, values in samples.items()}


def from_json(document: Mapping[str, Iterable[Any]]) -> Samples:
    """What :func:`to_json` gave.

    Raises:
        ValueError, TypeError, AttributeError: it is something else.
    """
    return {
        name: {tuple(labels): list(value) if isinstance(value, list) else float(value) for labels, value in values}
        for name, values in document.items()
    }
