"""A question with its evidence, and the sentences that explain it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from sengol_api.review import weights
from sengol_api.review.area import Area, Domain
from sengol_api.review.facts import SystemFacts
from sengol_api.review.regime import Regime, Status, mentioned
from sengol_api.review.retrieval import Match
from sengol_api.review.selection import Fit
from sengol_api.review.vocabulary import Vocabulary

FREQUENT: Final = 0.55
"""From this industry weight on, incidents of an area fall on an industry more often than by chance: 0.5 is its share at large."""


@dataclass(frozen=True, slots=True)
class Regulation:
    """A clause that asks for the control, and whether it binds this system."""

    id: str
    name: str
    clause: str
    title: str
    status: Status
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a review; ``evidence`` counts all matching incidents, ``related`` are those shown.

    Attributes:
        text: the question as it is asked.
        catalogue_text: the area's own question; the same as ``text`` unless a language model adapted the wording.
        generated_from: ``evidence``; ``hybrid`` when a language model adapted the wording; ``llm`` when it added the area.
        cited: ids of those related incidents on which a language model's sentence in ``importance`` rests.
    """

    id: str
    domain: Domain
    text: str
    catalogue_text: str
    label: str
    description: str
    good: str
    priority: weights.Priority
    category: str
    importance: str
    examples: tuple[str, ...]
    mitigations: tuple[str, ...]
    regulations: tuple[Regulation, ...]
    base_weight: float
    evidence_weight: float
    industry_weight: float
    final_weight: float
    explanation: str
    evidence_query: str
    evidence: weights.Evidence
    related: tuple[Match, ...]
    generated_from: Literal["llm", "evidence", "hybrid"]
    confidence: float
    cited: tuple[str, ...] = ()


def part_of(domain: Domain) -> weights.Part:
    """Compliance questions have their own mix of weights."""
    return "compliance" if domain == "compliance" else "risk"


def regulations(area: Area, regimes: Mapping[str, Regime], facts: SystemFacts, as_of: dt.date) -> tuple[Regulation, ...]:
    """The area's clauses of the regimes that apply, binding ones first."""
    rank = {"binding": 0, "upcoming": 1, "voluntary": 2}
    found = []
    for ref in area.clauses:
        if regime := regimes.get(ref.regime):
            clause = regime.clause(ref.clause)
            if clause and not mentioned(clause.mentions, facts):
                continue
            title = clause.title if clause else ""
            found.append(_regulation(regime.id, regime.name, ref.clause, title, regime.status(as_of, clause), regime.source_url))
    return tuple(sorted(found, key=lambda r: (rank[r.status], r.id, r.clause)))


@lru_cache(maxsize=10_000)
def _regulation(*fields: str) -> Regulation:
    """One object for the same clause with the same status: kept answers share it."""
    return Regulation(*fields)  # type: ignore[arg-type]  # the status is one of three words


def _listing(names: Sequence[str]) -> str:
    """Up to three names in words, and how many more there are."""
    shown = list(names[:3])
    if len(names) > len(shown):
        shown.append(f"{len(names) - len(shown)} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def importance(
    fit: Fit, facts: SystemFacts, found: Sequence[Regulation], matches: Sequence[Match], industry: float, vocabulary: Vocabulary
) -> str:
    """Why this is asked of this system, in a sentence that only says what is so.

    Args:
        fit: what the area and the system have in common.
        facts: the system.
        found: the clauses that ask for the control.
        matches: the incidents behind the question.
        industry: the question's industry weight, 0-1.
        vocabulary: the words for codes.
    """
    because = []
    if fit.tech:
        because.append("it uses " + _listing([vocabulary.phrase("tech", code) for code in fit.tech]))
    if fit.data:
        because.append("it handles " + _listing([vocabulary.phrase("dataTypes", code) for code in fit.data]))
    if facts.industry and (known := _known_in(facts.industry, matches, industry, vocabulary)):
        because.append(known)
    if binding := sorted({r.name for r in found if r.status == "binding"}):
        because.append(f"{_listing(binding)} {'asks' if len(binding) == 1 else 'ask'} for the control")
    if not because and fit.words:
        because.append("the description speaks of " + _listing([f"“{word}”" for word in fit.words]))
    if not because:
        return "Asked of systems of every kind: what it guards against happens however a system is built."
    return f"Asked of this system because {'; '.join(because)}."


def _known_in(industry: str, matches: Sequence[Match], weight: float, vocabulary: Vocabulary) -> str:
    """What the evidence says of an industry: how many of the incidents, or at least that such ones are frequent there."""
    sector = f"in the {vocabulary.phrase('industries', industry).lower()} sector"
    count = sum(match.incident.industry == industry for match in matches)
    if count:
        which = (
            f"{count} of the {len(matches)} incidents" if count < len(matches) else "all incidents" if count > 1 else "the incident"
        )
        return f"{which} behind it happened {sector}"
    return f"such incidents are frequent {sector}" if matches and weight >= FREQUENT else ""


def explanation(part: weights.Part, base: float, evidence: weights.Evidence, industry: float, final: float) -> str:
    """The weight's arithmetic with its numbers."""
    b, e, i = weights.MIX[part]
    if evidence.incidents == 0:
        basis = "no incident of the corpus matches, so evidence stays at the neutral 0.5"
    else:
        noun = "incident" if evidence.incidents == 1 else "incidents"
        basis = f"{evidence.incidents} matching {noun}, similarity {evidence.similarity:.2f}, severity {evidence.severity:.2f}"
        if evidence.weight == weights.NO_EVIDENCE:
            basis += "; never below the neutral 0.5"
    return f"{b}×{base:.2f} base + {e}×{evidence.weight:.2f} evidence ({basis}) + {i}×{industry:.2f} industry = {final:.2f}"


def build(
    area: Area,
    fit: Fit,
    facts: SystemFacts,
    matches: Sequence[Match],
    *,
    industry: float,
    regimes: Mapping[str, Regime],
    vocabulary: Vocabulary,
    as_of: dt.date,
) -> Question:
    """Make the question of an area from evidence alone; what it shows is chosen later, by :func:`distribute`."""
    part = part_of(area.domain)
    evidence = weights.weigh_evidence([(m.incident, m.similarity) for m in matches])
    base = weights.base_weight(area.base, facts.criticality)
    final = weights.final_weight(part, base, evidence.weight, industry)
    found = regulations(area, regimes, facts, as_of)
    return Question(
        id=area.id,
        domain=area.domain,
        text=area.question,
        catalogue_text=area.question,
        label=area.label,
        description=area.description,
        good=area.good,
        priority=weights.priority(final),
        category=area.category,
        importance=importance(fit, facts, found, matches, industry, vocabulary),
        examples=area.examples,
        mitigations=area.mitigations,
        regulations=found,
        base_weight=base,
        evidence_weight=evidence.weight,
        industry_weight=industry,
        final_weight=final,
        explanation=explanation(part, base, evidence, industry, final),
        evidence_query=area.query,
        evidence=evidence,
        related=(),
        generated_from="evidence",
        confidence=weights.confidence(evidence, base),
    )
