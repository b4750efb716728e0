"""The score of a review, from answers and weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sengol_api.review.reviews import Answer

POINTS: Final[dict[Answer, float]] = {"addressed": 100.0, "partially_addressed": 50.0, "not_addressed": 0.0}
RISK_SHARE: Final = 0.6
COMPLIANCE_SHARE: Final = 0.4
DIGITS: Final = 4  # sums of floats end a hair beside 100, and a score must not be above it
FORMULA: Final = (
    "score = 0.6*risk + 0.4*compliance; each part = sum(points*finalWeight)/sum(finalWeight) with addressed 100, "
    "partially_addressed 50, not_addressed 0. not_applicable is left out, an unanswered question counts as "
    "not_addressed, and a part without an applicable question leaves the whole score to the other"
)


@dataclass(frozen=True, slots=True)
class Term:
    """What one question adds: ``points * weight``."""

    question_id: str
    answer: Answer | None
    points: float
    weight: float


@dataclass(frozen=True, slots=True)
class Part:
    """Risk or compliance; ``score`` is None when nothing is applicable."""

    score: float | None
    terms: tuple[Term, ...]
    not_applicable: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Score:
    """0-100, with every term that it was made of; None when no question is applicable."""

    score: float | None
    risk: Part
    compliance: Part


def _part(weights: Mapping[str, float], answers: Mapping[str, Answer]) -> Part:
    terms = tuple(
        Term(key, answers.get(key), POINTS[answers.get(key) or "not_addressed"], weight)
        for key, weight in sorted(weights.items())
        if answers.get(key) != "not_applicable"
    )
    total = sum(term.weight for term in terms)
    score = round(sum(term.points * term.weight for term in terms) / total, DIGITS) if total > 0 else None
    return Part(
        score=score,
        terms=terms,
        not_applicable=len(weights) - len(terms),
        unanswered=sum(term.answer is None for term in terms),
    )


def score(risk: Mapping[str, float], compliance: Mapping[str, float], answers: Mapping[str, Answer]) -> Score:
    """Score a review.

    Args:
        risk: final weight by id of the risk questions.
        compliance: the same for the compliance questions.
        answers: by question id; answers to other questions are ignored.
    """
    parts = _part(risk, answers), _part(compliance, answers)
    known = [
        (part.score, share) for part, share in zip(parts, (RISK_SHARE, COMPLIANCE_SHARE), strict=True) if part.score is not None
    ]
    whole = sum(share for _, share in known)
    total = round(sum(value * share for value, share in known) / whole, DIGITS) if known else None
    return Score(score=total, risk=parts[0], compliance=parts[1])
