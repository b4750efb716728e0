"""The errors of the service.

::

    AppError
    ├── ValidationError            the request is wrong, every problem listed
    ├── AuthenticationError        who are you?
    ├── AuthorizationError         not yours to do
    ├── NotFoundError              no such thing, or not yours to know of
    ├── ConflictError              somebody else wrote first
    ├── RateLimitError             too often
    ├── TimeoutError               the time that the request had is over
    ├── DatabaseError              the store of record failed
    ├── VectorDBError              the vector index failed
    ├── LLMError                   the language model failed
    └── CircuitBreakerError        a circuit breaker refuses calls

Each carries a stable ``code``, a message that says what happened and what to do, and metadata that is safe to show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        path: where, in the names of the wire: ``systemDescription``, ``dataTypes[2]``; empty for the whole.
        message: what is wrong and what is allowed.
        code: a stable word for programs.
    """

    path: str
    message: str
    code: str


class AppError(Exception):
    """Base of every error that a caller is told about.

    Args:
        message: what happened, and what to do.
        metadata: facts that help; never a secret, a prompt or another system's answer.
        retry_after: seconds until a repetition makes sense, when that is known.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(
        self,
        message: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.retry_after = retry_after


class ValidationError(AppError):
    """The request is wrong; ``problems`` has all of it."""

    code = "VALIDATION_ERROR"

    def __init__(self, problems: Sequence[Problem], message: str | None = None) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        text = message or (
            "The request has 1 problem: see metadata.errors."
            if count == 1
            else f"The request has {count} problems: see metadata.errors."
        )
        super().__init__(
            text,
            {"errors": [{"path": p.path, "message": p.message, "code": p.code} for p in self.problems]},
        )


class AuthenticationError(AppError):
    """No valid proof of who is asking."""

    code = "AUTHENTICATION_ERROR"


class AuthorizationError(AppError):
    """Known, and not allowed."""

    code = "AUTHORIZATION_ERROR"


class NotFoundError(AppError):
    """There is no such thing, or it is another user's."""

    code = "NOT_FOUND"


class ConflictError(AppError):
    """The thing changed since the caller read it."""

    code = "CONFLICT"


class RateLimitError(AppError):
    """Too many requests."""

    code = "RATE_LIMIT_ERROR"


class TimeoutError(AppError):  # noqa: A001 - the guide's name; it is always used as errors.TimeoutError
    """The time that the request had is over."""

    code = "TIMEOUT_ERROR"


class DatabaseError(AppError):
    """The store of record failed."""

    code = "DATABASE_ERROR"


class VectorDBError(AppError):
    """The vector index failed."""

    code = "VECTORDB_ERROR"


class LLMError(AppError):
    """The language model failed."""

    code = "LLM_ERROR"


class CircuitBreakerError(AppError):
    """A circuit breaker refuses calls for now."""

    code = "CIRCUIT_BREAKER_OPEN"
