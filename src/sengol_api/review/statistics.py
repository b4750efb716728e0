"""What a set of incidents has in common. A mean of costs would follow the one largest; quartiles do not."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sengol_api.review.incident import CostKind, Incident

ENOUGH: Final = 5
COST_KINDS: Final[tuple[CostKind, ...]] = ("loss", "fine", "ransom")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of n values; they are None, with a note, when n is too small to speak of."""

    n: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts and spreads over a set of incidents; unknown values are counted as unknown.

    The counts of kinds of attack, countries and sources are the twenty largest.
    """

    total: int
    by_severity: dict[str, int]
    by_industry: dict[str, int]
    by_type: dict[str, int]
    by_attack: dict[str, int]
    by_year: dict[str, int]
    by_country: dict[str, int]
    by_source: dict[str, int]
    earliest: str | None
    latest: str | None
    costs: dict[CostKind, Spread]
    records_affected: Spread
    downtime_hours: Spread


def quantile(ordered: Sequence[float], q: float) -> float:
    """Quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan, 1996)."""
    position = (len(ordered) - 1) * q
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def spread(values: Iterable[float | None]) -> Spread:
    """Median and quartiles of the known values."""
    known = sorted(value for value in values if value is not None)
    if len(known) < ENOUGH:
        return Spread(len(known), None, None, None, f"insufficient data: {len(known)} of at least {ENOUGH} values")
    return Spread(len(known), quantile(known, 0.5), quantile(known, 0.25), quantile(known, 0.75))


def _counts(values: Iterable[str | None], limit: int | None = None) -> dict[str, int]:
    counted = Counter(value or "unknown" for value in values)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:limit])


def summarise(incidents: Iterable[Incident]) -> Summary:
    """Describe incidents. Losses, fines and ransoms are never mixed."""
    known = list(incidents)
    dates = sorted(incident.date for incident in known if incident.date)
    return Summary(
        total=len(known),
        by_severity=_counts(i.severity for i in known),
        by_industry=_counts(i.industry for i in known),
        by_type=_counts(i.incident_type for i in known),
        by_attack=_counts((i.attack_type for i in known), 20),
        by_year=dict(sorted(Counter(i.date[:4] if i.date else "unknown" for i in known).items())),
        by_country=_counts((i.country for i in known), 20),
        by_source=_counts((i.source for i in known), 20),
        earliest=dates[0] if dates else None,
        latest=dates[-1] if dates else None,
        costs={kind: spread(i.cost for i in known if i.cost_kind == kind) for kind in COST_KINDS},
        records_affected=spread(i.records_affected for i in known),
        downtime_hours=spread(i.downtime_hours for i in known),
    )
