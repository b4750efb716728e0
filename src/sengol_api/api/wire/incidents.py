"""Incidents on the wire: searches, what they find, and what many have in common."""

from typing import Annotated

import msgspec
from msgspec import Meta

from sengol_api.api.wire.base import Choices, DegradedOut, In, Line, Out, SkipCache
from sengol_api.review.incident import CostKind, Kind, Severity
from sengol_api.validation import CONTROL_FREE


class FilterIn(In):
    """Conditions: the values of one are joined by or, the conditions by and."""

    industries: Choices = []
    severities: Annotated[list[Severity], Meta(max_length=5)] = []
    incident_types: Choices = []
    attack_types: Choices = []
    countries: Choices = []
    sources: Choices = []
    kinds: Annotated[list[Kind], Meta(max_length=3)] = []
    year_from: Annotated[int, Meta(ge=1900, le=2200)] | None = None
    year_to: Annotated[int, Meta(ge=1900, le=2200)] | None = None

    def __post_init__(self) -> None:
        if self.year_from is not None and self.year_to is not None and self.year_from > self.year_to:
            raise ValueError(f"yearFrom ({self.year_from}) is after yearTo ({self.year_to})")


Query = Annotated[str, Meta(min_length=2, max_length=2000), CONTROL_FREE]


class SearchIn(In):
    """A search for incidents."""

    query: Query
    filter: FilterIn = msgspec.field(default_factory=FilterIn)
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    skip_cache: SkipCache = False


class BatchSearchIn(In):
    """Several searches under one filter."""

    queries: Annotated[list[Query], Meta(min_length=1, max_length=50)]
    filter: FilterIn = msgspec.field(default_factory=FilterIn)
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    skip_cache: SkipCache = False


class IncidentOut(Out):
    """An incident; what the source does not say is null. ``cost`` is in US dollars."""

    id: str
    title: str
    text: str
    kind: Kind
    incident_type: str | None
    attack_type: str | None
    organization: str | None
    industry: str | None
    country: str | None
    severity: Severity
    severity_basis: str
    date: str | None
    cost: float | None
    cost_kind: CostKind | None
    records_affected: int | None
    downtime_hours: float | None
    had_mfa: bool | None
    had_backups: bool | None
    had_ir_plan: bool | None
    tags: list[str]
    labels: list[str]
    source: str
    source_url: str
    licence: str
    derived: list[str]


class FoundOut(IncidentOut):
    """An incident with its similarity to the query, 0-1."""

    similarity: float


class SearchOut(Out):
    """Found incidents, best first."""

    query: str
    incidents: list[FoundOut]
    degraded: list[DegradedOut]
    corpus_version: str
    attribution: str


class BatchSearchOut(Out):
    """One result per query, in the order of the queries."""

    results: list[SearchOut]


class StatisticsIn(In):
    """A filter as a query string; several values with commas between."""

    industries: Line = ""
    severities: Line = ""
    incident_types: Line = ""
    attack_types: Line = ""
    countries: Line = ""
    sources: Line = ""
    kinds: Line = ""
    year_from: Annotated[int, Meta(ge=1900, le=2200)] | msgspec.UnsetType = msgspec.UNSET
    year_to: Annotated[int, Meta(ge=1900, le=2200)] | msgspec.UnsetType = msgspec.UNSET


class SpreadOut(Out):
    """Median and quartiles of n values; null with a note when n is too small to speak of."""

    n: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    note: str | None = None


class SummaryOut(Out):
    """What the incidents have in common."""

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
    costs: dict[CostKind, SpreadOut]
    records_affected: SpreadOut
    downtime_hours: SpreadOut


class StatisticsOut(SummaryOut):
    """A summary of the incidents that the filter admits."""

    corpus_version: str
    attribution: str
