"""A question with its evidence, and the sentences that explain it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sengol_api.review import weights
from sengol_api.review.area import Area, Domain
from sengol_api.review.facts import SystemFacts
from sengol_api.review.regime import Regime, Status
from sengol_api.review.retrieval import Match
from sengol_api.review.selection import Fit
from sengol_api.review.vocabulary import Vocabulary


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


def regulations(area: Area, regimes: Mapping[str, Regime], as_of: dt.date) -> tuple[Regulation, ...]:
    """The area's clauses of the regimes that apply, binding ones first."""
    rank = {"binding": 0, "upcoming": 1, "voluntary": 2}
    found = []
    for ref in area.clauses:
        if regime := regimes.get(ref.regime):
            clause = regime.clause(ref.clause)
            title = clause.title if clause else ""
            found.append(
                Regulation(regime.id, regime.name, ref.clause, title, regime.status(as_of, clause), regime.source_url),
            )
    return tuple(sorted(found, key=lambda r: (rank[r.status], r.id, r.clause)))


def _listing(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def importance(fit: Fit, facts: SystemFacts, found: Sequence[Regulation], vocabulary: Vocabulary) -> str:
    """Why this is asked of this system, in a sentence."""
    because = []
    if fit.tech:
        because.append("it is built with " + _listing([vocabulary.label("tech", code) for code in fit.tech[:3]]))
    if fit.data:
        because.append("it handles " + _listing([vocabulary.label("dataTypes", code) for code in fit.data[:3]]))
    if fit.industry and facts.industry:
        because.append(f"such incidents are known in {vocabulary.label('industries', facts.industry).lower()}")
    binding = sorted({r.name for r in found if r.status == "binding"})
    if binding:
        because.append(f"{_listing(binding[:3])} {'asks' if len(binding) == 1 else 'ask'} for the control")
    if not because and fit.words:
        because.append("the description speaks of " + _listing([f"“{word}”" for word in fit.words[:3]]))
    if not because:
        return "Asked of every system of this domain: what it guards against happens however a system is built."
    return f"Asked of this system because {'; '.join(because)}."


def explanation(part: weights.Part, base: float, evidence: weights.Evidence, industry: float, final: float) -> str:
    """The weight's arithmetic with its numbers."""
    b, e, i = weights.MIX[part]
    if evidence.incidents == 0:
        basis = "no incident of the corpus matches, so evidence stays at the neutral 0.5"
    else:
        noun = "incident" if evidence.incidents == 1 else "incidents"
        basis = f"{evidence.incidents} matching {noun}, similarity {evidence.similarity:.2f}, severity {evidence.severity:.2f}"
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
    found = regulations(area, regimes, as_of)
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
        importance=importance(fit, facts, found, vocabulary),
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
