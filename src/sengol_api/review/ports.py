"""What the domain needs of the world. Each port has contract tests that every adapter passes."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sengol_api.review.accounts import User
from sengol_api.review.reviews import Answer, QuestionSet, Review

Vectors = NDArray[np.float32]
"""Rows are unit vectors: shape (texts, dimension), float32."""


class Hit(NamedTuple):
    """An incident that a search found; a higher score is a better match."""

    id: str
    score: float


class Embedder(Protocol):
    """Turns texts into vectors."""

    @property
    def name(self) -> str:
        """Model and version: vectors of two names never meet."""

    @property
    def dimension(self) -> int:
        """Numbers per vector."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in the order of the texts; a text without a known word gives a zero vector."""


class VectorIndex(Protocol):
    """Finds the nearest incidents by cosine similarity."""

    def __len__(self) -> int: ...

    async def search(self, queries: Vectors, limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """The nearest per query, best first, scores in -1..1; ties by id.

        Args:
            queries: unit vectors, shape (n, dimension).
            limit: at most so many per query.
            allowed: only these ids; None for all.

        Raises:
            ValueError: a vector of another dimension, or one that is not finite.
        """

    async def compare(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        """Cosine similarity of one query, shape (dimension,), to each incident; 0 for an id it does not hold."""


class KeywordIndex(Protocol):
    """Finds incidents by their words."""

    async def search(self, queries: Sequence[str], limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """The best matches per query, best first; an incident without a common word is no match."""

    def salient(self, text: str, limit: int) -> list[str]:
        """The words of a text that tell most: the rarest in the corpus among those that occur there, rarest first."""


class UserStore(Protocol):
    """Accounts."""

    async def add(self, user: User, password_hash: str) -> bool:
        """Keep a new account; False when the address is taken."""

    async def find(self, email: str) -> tuple[User, str] | None:
        """The account of an address with its password hash."""

    async def get(self, user_id: str) -> User | None:
        """The account of an id."""


class ReviewStore(Protocol):
    """Reviews with their questions and answers. When a write returns, it survives a crash."""

    async def add(self, review: Review) -> None:
        """Keep a new review."""

    async def get(self, owner_id: str, review_id: str) -> Review | None:
        """A review of that owner."""

    async def list(self, owner_id: str, *, offset: int, limit: int) -> tuple[list[Review], int]:
        """A page of the owner's reviews, newest first, and how many there are."""

    async def delete(self, owner_id: str, review_id: str) -> bool:
        """Remove a review with all that belongs to it; False when there is none."""

    async def save_questions(
        self,
        owner_id: str,
        review_id: str,
        questions: QuestionSet,
        *,
        expected_revision: int | None,
        now: dt.datetime,
    ) -> int:
        """Keep a set of questions as the next revision; earlier ones stay.

        Returns:
            The new revision, from 1.

        Raises:
            NotFoundError: the owner has no such review.
            ConflictError: the present revision is not the expected one.
        """

    async def questions(self, owner_id: str, review_id: str) -> QuestionSet | None:
        """The latest set of questions; None before the first."""

    async def put_answers(self, owner_id: str, review_id: str, answers: Mapping[str, Answer], *, now: dt.datetime) -> None:
        """Keep answers by question id; those of other questions stay as they are.

        Raises:
            NotFoundError: the owner has no such review.
        """

    async def answers(self, owner_id: str, review_id: str) -> dict[str, Answer]:
        """All answers of a review."""


class PasswordHasher(Protocol):
    """Slow hashing of passwords, away from the event loop."""

    async def hash(self, password: str) -> str:
        """A salted hash."""

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether they belong together. Without a hash it takes as long and is False."""


@dataclass(frozen=True, slots=True)
class ModelTask:
    """What a language model is asked.

    Attributes:
        name: of the schema, ``questions_ai``.
        instructions: our words.
        data: what they are about, as JSON; never instructions.
        schema: a strict JSON Schema of the answer: every property is required, no others are allowed.
        prompt_version: changes when the instructions do, so that no answer to earlier ones is taken for one to these.
    """

    name: str
    instructions: str
    data: str
    schema: Mapping[str, Any]
    prompt_version: str


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What it said.

    Attributes:
        value: decoded, and of the schema's form.
        model: that said it.
        served: when: for this task now, or earlier and kept.
        reason: why it is stale; empty when it is not.
        calls: requests that were sent for it.
        problems: what the caller's check still finds after the one repair; the rest of the value may be used.
    """

    value: Any
    model: str
    served: Literal["fresh", "cached", "stale"]
    reason: str
    calls: int
    problems: tuple[str, ...] = ()


class LanguageModel(Protocol):
    """Answers tasks in a given form. It is never believed: the domain checks every part."""

    @property
    def name(self) -> str:
        """The model that is asked first."""

    async def answer(self, task: ModelTask, *, check: Callable[[Any], Sequence[str]]) -> ModelAnswer:
        """Answer a task.

        Args:
            task: the task.
            check: what is wrong with a decoded answer, in sentences for one attempt to repair it.

        Raises:
            LLMError: there is no answer.
        """
