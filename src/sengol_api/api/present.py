"""From the domain to the wire."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sengol_api.api import wire
from sengol_api.review import score as scoring
from sengol_api.review import weights
from sengol_api.review.accounts import User
from sengol_api.review.facts import hints
from sengol_api.review.generated import Generated, Outcome
from sengol_api.review.incident import Incident
from sengol_api.review.provenance import Degradation
from sengol_api.review.question import Question
from sengol_api.review.regime import Regime, Status
from sengol_api.review.retrieval import Match
from sengol_api.review.reviews import Review
from sengol_api.review.search import Findings, Found
from sengol_api.review.statistics import Spread, Summary


def moment(value: dt.datetime) -> str:
    """A moment as ISO 8601 in UTC, milliseconds, Z."""
    return value.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def user(value: User) -> wire.UserOut:
    """An account."""
    return wire.UserOut(
        id=value.id,
        email=value.email,
        name=value.name,
        company=value.company,
        role=value.role,
        created_at=moment(value.created_at),
    )


def review(value: Review) -> wire.ReviewOut:
    """A review without its questions."""
    return wire.ReviewOut(**review_fields(value))


def review_fields(value: Review) -> dict[str, Any]:
    """The fields that every form of a review has."""
    return {
        "id": value.id,
        "name": value.name,
        "revision": value.revision,
        "created_at": moment(value.created_at),
        "updated_at": moment(value.updated_at),
    }


def related(value: Match) -> wire.RelatedIncidentOut:
    """An incident under its question."""
    incident = value.incident
    return wire.RelatedIncidentOut(
        id=incident.id,
        title=incident.title,
        organization=incident.organization,
        date=incident.date,
        severity=incident.severity,
        similarity=round(value.similarity, 4),
        source_url=incident.source_url,
        why_matched="; ".join(value.reasons),
    )


def question(value: Question) -> wire.QuestionOut:
    """A question."""
    return wire.QuestionOut(
        id=value.id,
        domain=value.domain,
        text=value.text,
        label=value.label,
        description=value.description,
        good=value.good,
        priority=value.priority,
        category=value.category,
        importance=value.importance,
        examples=list(value.examples),
        mitigations=list(value.mitigations),
        regulations=[
            wire.RegulationOut(id=r.id, name=r.name, clause=r.clause, title=r.title, status=r.status, url=r.url)
            for r in value.regulations
        ],
        base_weight=value.base_weight,
        evidence_weight=value.evidence_weight,
        industry_weight=value.industry_weight,
        final_weight=value.final_weight,
        weightage_explanation=value.explanation,
        evidence_query=value.evidence_query,
        evidence=wire.EvidenceOut(
            incidents=value.evidence.incidents, similarity=value.evidence.similarity, severity=value.evidence.severity
        ),
        related_incidents=[related(match) for match in value.related],
        generated_from=value.generated_from,
        confidence=value.confidence,
        catalogue_text=value.catalogue_text,
        cited_incidents=list(value.cited),
    )


def summary(value: Summary) -> dict[str, Any]:
    """The fields of a summary."""
    fields: dict[str, Any] = {name: getattr(value, name) for name in Summary.__slots__}
    fields["costs"] = {kind: _spread(costs) for kind, costs in value.costs.items()}
    return {name: _spread(field) if isinstance(field, Spread) else field for name, field in fields.items()}


def _spread(value: Spread) -> wire.SpreadOut:
    return wire.SpreadOut(**asdict(value))


def regime(value: Regime, status: Status) -> wire.RegimeOut:
    """A regime that concerns the system."""
    return wire.RegimeOut(
        id=value.id,
        name=value.name,
        full_name=value.full_name,
        status=status,
        effective_from=value.effective_from.isoformat() if value.effective_from else None,
        as_of=value.as_of.isoformat(),
        url=value.source_url,
        note=value.note,
    )


def metadata(outcome: Outcome, *, now: dt.datetime, deadline_ms: int, attribution: str) -> wire.GenerationMetadataOut:
    """How an answer of the main job was made: the part that differs each time."""
    result = outcome.generated
    facts = result.facts
    return wire.GenerationMetadataOut(
        timestamp=moment(now),
        generation_time_ms=round(outcome.elapsed_ms, 2),
        llm_model=result.model,
        incident_search_count=result.incidents_found,
        avg_similarity_score=result.average_similarity,
        cache=outcome.cache,
        degraded=degraded(result.degraded),
        served={dependency: list(rungs) for dependency, rungs in result.served},
        deadline_ms=deadline_ms,
        upstream_calls=outcome.upstream_calls,
        as_of=result.as_of.isoformat(),
        corpus_version=result.corpus_version,
        catalogue_version=result.catalogue_version,
        attribution=attribution,
        regimes=[regime(item, status) for item, status in result.regimes],
        recognised_tech=sorted(facts.tech),
        mentioned_data_types=sorted(facts.mentioned_data),
        unrecognised=[wire.UnrecognisedOut(field=field, value=value) for field, value in facts.unrecognised],
        hints=list(hints(facts)),
    )


def content(result: Generated) -> dict[str, Any]:
    """The fields of an answer of the main job that are the same each time it is given."""
    return {
        "risk_questions": [question(q) for q in result.questions if q.domain != "compliance"],
        "compliance_questions": [question(q) for q in result.questions if q.domain == "compliance"],
        "scoring_formula": {**weights.FORMULAS, "score": scoring.FORMULA},
        "incident_summary": wire.SummaryOut(**summary(result.summary)),
    }


def degraded(values: Iterable[Degradation]) -> list[wire.DegradedOut]:
    """What had to be done without."""
    return [wire.DegradedOut(dependency=each.dependency, served=each.served, reason=each.reason) for each in values]


def incident(value: Incident) -> dict[str, Any]:
    """The fields of an incident."""
    fields = {name: getattr(value, name) for name in wire.IncidentOut.__struct_fields__}
    return {key: list(item) if isinstance(item, tuple) else item for key, item in fields.items()}


def found(query: str, items: Iterable[Found], findings: Findings, *, corpus_version: str, attribution: str) -> wire.SearchOut:
    """The incidents that a search found."""
    return wire.SearchOut(
        query=query,
        incidents=[wire.FoundOut(**incident(item.incident), similarity=item.similarity) for item in items],
        degraded=degraded(findings.degraded),
        corpus_version=corpus_version,
        attribution=attribution,
    )


def _part(value: scoring.Part) -> wire.PartOut:
    return wire.PartOut(
        score=value.score,
        total_weight=round(sum(term.weight for term in value.terms), scoring.DIGITS),
        not_applicable=value.not_applicable,
        unanswered=value.unanswered,
        terms=[wire.TermOut(**asdict(term)) for term in value.terms],
    )


def score(value: scoring.Score, *, revision: int) -> wire.ScoreOut:
    """The score with its terms."""
    return wire.ScoreOut(
        score=value.score,
        formula=scoring.FORMULA,
        revision=revision,
        risk=_part(value.risk),
        compliance=_part(value.compliance),
    )
