"""An incident of the past, and what a reader may filter incidents by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

Severity = Literal["critical", "high", "medium", "low", "unknown"]
Kind = Literal["incident", "study", "vulnerability"]
CostKind = Literal["loss", "fine", "ransom"]

SEVERITY_WEIGHT: Final[Mapping[str, float]] = MappingProxyType(
    {"critical": 1.0, "high": 0.75, "medium": 0.5, "low": 0.25, "unknown": 0.5},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One public incident, as a source tells it; what the source does not say is ``None``, never a guess.

    Attributes:
        kind: ``study`` for what researchers showed or measured without an event; it stands behind events. ``vulnerability``
            for a defect in one product that nobody is known to have suffered from; it is evidence only for a system that
            uses that product.
        severity_basis: the rule by which the severity was set, or ``source``.
        date: ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``: only as precise as the source.
        cost: US dollars; ``cost_kind`` says what they were.
        derived: names of the fields that were read out of the text, not told by the source.
    """

    id: str
    title: str
    text: str
    kind: Kind = "incident"
    incident_type: str | None = None
    attack_type: str | None = None
    organization: str | None = None
    industry: str | None = None
    country: str | None = None
    severity: Severity = "unknown"
    severity_basis: str = "source"
    date: str | None = None
    cost: float | None = None
    cost_kind: CostKind | None = None
    records_affected: int | None = None
    downtime_hours: float | None = None
    had_mfa: bool | None = None
    had_backups: bool | None = None
    had_ir_plan: bool | None = None
    tags: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    source: str = ""
    source_url: str = ""
    licence: str = ""
    derived: tuple[str, ...] = ()

    @property
    def year(self) -> int | None:
        """The year of the incident, when the date is known."""
        return int(self.date[:4]) if self.date else None

    @property
    def searchable(self) -> str:
        """The text that represents the incident in both indexes."""
        named = "" if not self.organization or self.organization.lower() in self.title.lower() else self.organization
        words = " ".join(tag.replace("-", " ") for tag in self.tags)
        return f"{self.title}. {self.text} {named} {words}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFilter:
    """Conditions on incidents; they are joined by *and*, the values of one by *or*; an empty one is no condition."""

    industries: frozenset[str] = field(default_factory=frozenset)
    severities: frozenset[str] = field(default_factory=frozenset)
    incident_types: frozenset[str] = field(default_factory=frozenset)
    attack_types: frozenset[str] = field(default_factory=frozenset)
    countries: frozenset[str] = field(default_factory=frozenset)
    kinds: frozenset[str] = field(default_factory=frozenset)
    sources: frozenset[str] = field(default_factory=frozenset)
    year_from: int | None = None
    year_to: int | None = None

    def admits(self, incident: Incident) -> bool:
        """Whether the incident fulfils every condition; an unknown value fulfils none."""
        conditions = (
            (self.industries, incident.industry),
            (self.severities, incident.severity),
            (self.incident_types, incident.incident_type),
            (self.attack_types, incident.attack_type),
            (self.countries, incident.country),
            (self.kinds, incident.kind),
            (self.sources, incident.source),
        )
        if any(allowed and value not in allowed for allowed, value in conditions):
            return False
        if self.year_from is None and self.year_to is None:
            return True
        year = incident.year
        return year is not None and (self.year_from or 0) <= year <= (self.year_to or 9999)

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        return self == IncidentFilter()
