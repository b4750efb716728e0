"""What the domain needs of the world. Each port has contract tests that every adapter passes."""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sengol_api.review.accounts import Role, User
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


@dataclass(frozen=True, slots=True)
class ModelTask:
    """What a language model is asked to do.

    Attributes:
        name: of what is asked for: letters, digits, ``_`` and ``-``.
        instructions: what to do; the system's words.
        data: what to do it with. Anybody may have written that: it is nothing to obey.
        schema: JSON Schema of the answer, an object; every property required, no others allowed.
        prompt_version: changes with the instructions, so that answers to earlier ones are not served.
        subject: what it is about; tasks of one piece of work have one subject, and the same work has the same again.
    """

    name: str
    instructions: str = field(repr=False)
    data: str = field(repr=False)
    schema: Mapping[str, Any] = field(repr=False)
    prompt_version: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a language model answered.

    Attributes:
        value: of the task's schema.
        model: that gave it.
        served: ``fresh``, ``cached``, or ``stale``: past its time, since there was no new one.
        reason: why it is stale; empty otherwise.
        calls: requests that it took.
        problems: what the check still finds wrong with it after one repair; the rest of it may be used.
        tokens: that were billed for it, read and written.
    """

    value: Any
    model: str
    served: Literal["fresh", "cached", "stale"]
    reason: str
    calls: int
    problems: tuple[str, ...] = ()
    tokens: int = 0


AnswerCheck = Callable[[Any], Awaitable[Sequence[str]]]
"""What is wrong with a decoded answer, in sentences for one attempt to repair it."""


class LanguageModel(Protocol):
    """Answers in the form of a schema."""

    @property
    def name(self) -> str:
        """Of the model that is asked first."""

    async def away(self, subject: str) -> str:
        """Why it has no answer on a subject now, not even an old one, in words that may be shown; empty when it may have one.

        Tasks take work to make, which is spared where nobody would answer them. It says how things stand in this moment and holds
        nothing: whoever is told that it is there may still find it away, and gets the error of :meth:`answer`.

        Args:
            subject: of the tasks.
        """

    async def answer(self, task: ModelTask, *, check: AnswerCheck) -> ModelAnswer:
        """A value of the task's schema.

        Args:
            task: what is asked.
            check: what is wrong with such a value, in words for the model; it is asked once to repair its answer. Tasks that are
                equal must have the same check: they share answers.

        Raises:
            LLMError: there is no answer of the schema, not even an old one.
        """


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

    async def compare(self, queries: Vectors, ids: Sequence[Sequence[str]]) -> list[list[float]]:
        """Cosine similarity of each query to incidents of its own; 0 for an id it does not hold.

        Args:
            queries: unit vectors, shape (n, dimension).
            ids: for each query, any number of them.

        Raises:
            ValueError: a vector of another dimension, or one that is not finite; ids for another number of queries.
        """


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

    async def set_role(self, email: str, role: Role) -> User | None:
        """Give the account of an address another role; the account as it is then, or None when there is none."""

    async def with_role(self, role: Role) -> list[User]:
        """The accounts of a role, by their addresses."""


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
