"""A review with its saved questions and answers."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

Answer = Literal["addressed", "partially_addressed", "not_addressed", "not_applicable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A review belongs to one user. ``revision`` counts the saved sets of questions, 0 before the first."""

    id: str
    owner_id: str
    name: str
    revision: int
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionSet:
    """A saved set of questions.

    Attributes:
        risk: final weight by question id; so are ``compliance``.
        document: the questions as they were saved, JSON.
    """

    revision: int
    risk: dict[str, float]
    compliance: dict[str, float]
    document: bytes

    def __contains__(self, question_id: object) -> bool:
        return question_id in self.risk or question_id in self.compliance
