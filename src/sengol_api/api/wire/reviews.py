"""Reviews on the wire: what is saved, answered and scored."""

from typing import Annotated

import msgspec
from msgspec import Meta

from sengol_api.api.wire.base import In, Line, Out
from sengol_api.api.wire.questions import QuestionId, QuestionOut
from sengol_api.review.reviews import Answer


class ReviewIn(In):
    """A new review."""

    name: Line = "Untitled review"


class ReviewOut(Out):
    """A review; ``revision`` counts its saved sets of questions."""

    id: str
    name: str
    revision: int
    created_at: str
    updated_at: str


class PageIn(In):
    """Which page of a list."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class ReviewPageOut(Out):
    """A page of reviews, newest first."""

    reviews: list[ReviewOut]
    page: int
    limit: int
    total: int


class SaveQuestionsIn(In):
    """The questions to keep, as generate-questions gave them or fewer."""

    risk_questions: Annotated[list[QuestionOut], Meta(max_length=200)]
    compliance_questions: Annotated[list[QuestionOut], Meta(max_length=200)]


class SavedOut(Out):
    """What was kept."""

    revision: int
    risk_questions: int
    compliance_questions: int


class ReviewDetailOut(ReviewOut):
    """A review with its questions as saved and its answers."""

    risk_questions: msgspec.Raw | list[QuestionOut]
    compliance_questions: msgspec.Raw | list[QuestionOut]
    answers: dict[str, Answer]


AnswersIn = Annotated[dict[QuestionId, Answer], Meta(min_length=1, max_length=400)]


class AnswersOut(Out):
    """All answers of the review after the write."""

    answers: dict[str, Answer]


class TermOut(Out):
    """What one question adds to its part: points × weight."""

    question_id: str
    answer: Answer | None
    points: float
    weight: float


class PartOut(Out):
    """Risk or compliance; the score is null when nothing is applicable."""

    score: float | None
    total_weight: float
    not_applicable: int
    unanswered: int
    terms: list[TermOut]


class ScoreOut(Out):
    """0-100 with its formula and every term; null when no question is applicable."""

    score: float | None
    formula: str
    revision: int
    risk: PartOut
    compliance: PartOut
