"""How much a question weighs. Every number shown recomputes from the printed formulas.

The evidence term differs from a plain mean in one respect: similarity and severity are taken from the five strongest
incidents, a missing one counting zero, and evidence never weighs less than none at all (0.5). So more incidents, or
worse ones, never lower a weight; with a mean, one more mild incident would (decision 0005).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sengol_api.review.facts import Criticality
from sengol_api.review.incident import SEVERITY_WEIGHT, Incident

Priority = Literal["critical", "high", "medium", "low"]
Part = Literal["risk", "compliance"]

NO_EVIDENCE: Final = 0.5
STRONGEST: Final = 5
DIGITS: Final = 4
MIX: Final[dict[Part, tuple[float, float, float]]] = {"risk": (0.5, 0.3, 0.2), "compliance": (0.6, 0.25, 0.15)}
CRITICALITY_SHIFT: Final[dict[Criticality, float]] = {"low": -0.1, "medium": 0.0, "high": 0.05, "critical": 0.1}
LIFT_PRIOR: Final = 10.0
FORMULAS: Final = {
    "riskWeight": "0.5*baseWeight + 0.3*evidenceWeight + 0.2*industryWeight",
    "complianceWeight": "0.6*baseWeight + 0.25*evidenceWeight + 0.15*industryWeight",
    "evidenceWeight": (
        "max(0.5, 0.4*min(incidents/20, 1) + 0.3*similarity + 0.3*severity), where similarity and severity are the means "
        "of the five highest values among the question's incidents, a missing one counting 0; severity is critical 1, "
        "high 0.75, medium 0.5, low 0.25, unknown 0.5"
    ),
    "industryWeight": (
        "lift/(1 + lift), lift = (k + 10*p)/((n + 10)*p): k of the area's n incidents of known industry fall on the "
        "system's industry, p is that industry's share of the whole corpus; 0.5 where the industry is unknown"
    ),
    "confidence": "0.3*min(incidents/10, 1) + 0.3*similarity + 0.4*baseWeight",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the incidents of a question amount to; similarity and severity in 0-1, as the formula takes them."""

    incidents: int
    similarity: float
    severity: float

    @property
    def weight(self) -> float:
        """The evidence weight."""
        strength = 0.4 * min(self.incidents / 20, 1.0) + 0.3 * self.similarity + 0.3 * self.severity
        return round(max(NO_EVIDENCE, strength), DIGITS)


def weigh_evidence(matches: Sequence[tuple[Incident, float]]) -> Evidence:
    """Sum up incidents and their similarity (0-1) to a question."""

    def strongest(values: Iterable[float]) -> float:
        return round(sum(sorted(values, reverse=True)[:STRONGEST]) / STRONGEST, DIGITS)

    return Evidence(
        incidents=len(matches),
        similarity=strongest(similarity for _, similarity in matches),
        severity=strongest(SEVERITY_WEIGHT[incident.severity] for incident, _ in matches),
    )


def base_weight(base: float, criticality: Criticality) -> float:
    """Importance of an area for a system of that criticality."""
    return round(min(1.0, max(0.0, base + CRITICALITY_SHIFT[criticality])), DIGITS)


def industry_weight(incidents: Iterable[Incident], industry: str | None, share: float) -> float:
    """Whether the incidents of an area fall on an industry more than incidents do at large.

    Args:
        incidents: the area's incidents in the corpus, whatever the system under review.
        industry: the system's industry; None when unknown.
        share: that industry's part of the corpus, 0-1.
    """
    if industry is None or share <= 0:
        return 0.5
    known = [incident.industry for incident in incidents if incident.industry]
    lift = (known.count(industry) + LIFT_PRIOR * share) / ((len(known) + LIFT_PRIOR) * share)
    return round(lift / (1 + lift), DIGITS)


def final_weight(part: Part, base: float, evidence: float, industry: float) -> float:
    """The weight of a question, 0-1."""
    b, e, i = MIX[part]
    return round(b * base + e * evidence + i * industry, DIGITS)


def priority(weight: float) -> Priority:
    """The word for a weight."""
    if weight >= 0.85:
        return "critical"
    if weight >= 0.70:
        return "high"
    return "medium" if weight >= 0.50 else "low"


def confidence(evidence: Evidence, base: float) -> float:
    """How sure the service is that the question matters, 0-1."""
    return round(0.3 * min(evidence.incidents / 10, 1.0) + 0.3 * evidence.similarity + 0.4 * base, DIGITS)
