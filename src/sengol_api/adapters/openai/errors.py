"""What the client raises.

::

    LLMError
    └── ModelError                    all of them
        ├── UnreachableError          no connection, or one that broke
        ├── LateAnswerError           no whole answer in time
        ├── ServerFailedError         408, 409, 500, 502, 504: it may pass
        ├── OverloadedError           503, 529: it may pass, a little later
        ├── RateLimitedError          429: too many requests or tokens; the shared budget waits
        ├── QuotaError                429 or 402: the account has nothing left; nobody asks again before the cool-down is over
        ├── KeyRefusedError           401
        ├── AccessDeniedError         403
        ├── NoSuchModelError          404: the model, or the address
        ├── RequestRefusedError       400, 422: this request is wrong
        │   ├── TooLongError          too many tokens for the model, or for one request
        │   └── FilteredRequestError  stopped by the provider's content filter
        ├── BadAnswerError            status 200, and no answer
        │   ├── CutAnswerError        it ended at the token limit
        │   ├── RefusalError          the model declined, or its answer was filtered
        │   └── InvalidJsonError      not JSON, not of the schema, or not what the check asks for
        ├── PartialEmbeddingsError    some of the texts have no vector
        └── UnavailableError          nobody was asked: circuits are open, or there was no place or no time

Each says whether it is worth another try, speaks against the health of the provider, and how long to wait; the policies of
:mod:`sengol_api.resilience` read that. None holds a key, a prompt or a provider's text.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from sengol_api.adapters.openai.answers import Usage
from sengol_api.review.errors import CircuitBreakerError, LLMError

NOTHING: Final = Usage()


class ModelError(LLMError):
    """Base of all that the client raises.

    Args:
        message: what happened, with what, and what to do.
        provider: by whose name in the chain; empty when it was nobody's in particular.
        status: of the HTTP answer, if there was one.
        request_id: by which the provider finds the request.
        retry_after: seconds that the provider asks to wait.

    Attributes:
        reason: a stable word for programs and statistics.
        retryable: whether the same request may succeed a little later.
        counts_as_failure: whether it speaks against the provider's health, so that its circuit breaker counts it.
        elsewhere: whether another provider may serve the same request.
        limits: the ``x-ratelimit-*`` headers of the answer.
    """

    reason: ClassVar[str] = "model_error"
    retryable: bool = False
    counts_as_failure: bool = True
    elsewhere: bool = True
    limits: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        told = {"reason": self.reason, "provider": provider, "status": status, "providerRequestId": request_id}
        super().__init__(message, {name: value for name, value in told.items() if value}, retry_after=retry_after)
        self.provider = provider
        self.status = status
        self.request_id = request_id


class UnreachableError(ModelError):
    """No connection came about, or it broke.

    Attributes:
        sent: whether the request may have arrived: then it may have been billed.
    """

    reason = "unreachable"
    retryable = True

    def __init__(self, message: str, *, provider: str = "", sent: bool = False, retryable: bool = True) -> None:
        super().__init__(message, provider=provider)
        self.sent = sent
        self.retryable = retryable


class LateAnswerError(ModelError):
    """The whole answer did not come in time.

    Attributes:
        by_deadline: it was the caller's deadline that ended.
    """

    reason = "timeout"
    retryable = True

    def __init__(self, message: str, *, provider: str = "", by_deadline: bool = False) -> None:
        super().__init__(message, provider=provider)
        self.by_deadline = by_deadline


class ServerFailedError(ModelError):
    """The provider failed in a way that may pass."""

    reason = "server_error"
    retryable = True


class OverloadedError(ModelError):
    """The provider has more to do than it can."""

    reason = "overloaded"
    retryable = True


class RateLimitedError(ModelError):
    """More requests or tokens than the key may have in this time. The provider is well, so no breaker counts it."""

    reason = "rate_limited"
    retryable = True
    counts_as_failure = False


class QuotaError(ModelError):
    """The account has nothing left to spend. Only a person can change that, so the key is left alone for a while."""

    reason = "quota"


class KeyRefusedError(ModelError):
    """The key is not valid there."""

    reason = "key_refused"


class AccessDeniedError(ModelError):
    """The key may not do this."""

    reason = "access_denied"


class NoSuchModelError(ModelError):
    """There is no such model, or nothing of that protocol at the address."""

    reason = "not_found"


class RequestRefusedError(ModelError):
    """The provider takes no such request. Another try is refused as well."""

    reason = "request_refused"
    counts_as_failure = False


class TooLongError(RequestRefusedError):
    """More tokens than the model takes, or than fit into one request."""

    reason = "too_long"


class FilteredRequestError(RequestRefusedError):
    """The provider's content filter stopped the request. It is not offered to others to get around that."""

    reason = "content_filter"
    elsewhere = False


class BadAnswerError(ModelError):
    """Status 200, and no answer: HTML, half of a JSON text, no choices, vectors of another size."""

    reason = "bad_answer"
    retryable = True


class CutAnswerError(BadAnswerError):
    """The answer ended where its tokens did (``finish_reason`` length).

    Attributes:
        text: as far as it went.
        usage: tokens that it took.
    """

    reason = "answer_cut"
    retryable = False
    counts_as_failure = False
    elsewhere = False

    def __init__(self, message: str, *, provider: str = "", text: str = "", usage: Usage = NOTHING) -> None:
        super().__init__(message, provider=provider, status=200)
        self.text = text
        self.usage = usage


class RefusalError(BadAnswerError):
    """The model declined, or its answer was filtered. Others are not asked to get around that."""

    reason = "refusal"
    retryable = False
    counts_as_failure = False
    elsewhere = False


class InvalidJsonError(BadAnswerError):
    """The model's answer is not what was asked for, and its repair neither.

    Attributes:
        problems: each thing that is wrong with it.
        model: that gave it, in the provider's words.
        text: the answer.
        fits: whether it is a value of the schema, so that only the check found something.
        calls: requests that were sent to providers for this caller.
        usage: tokens that the answer and its repair took.
    """

    reason = "invalid_json"
    retryable = False
    elsewhere = False  # the model is asked to repair it first

    def __init__(
        self,
        message: str,
        problems: Sequence[str],
        *,
        provider: str = "",
        model: str = "",
        text: str = "",
        fits: bool = False,
        calls: int = 0,
        usage: Usage = NOTHING,
    ) -> None:
        super().__init__(message, provider=provider, status=200)
        self.problems = tuple(problems)
        self.model = model
        self.text = text
        self.fits = fits
        self.calls = calls
        self.usage = usage

    def for_caller(self, calls: int) -> Self:
        """The same for one of several who asked for the same."""
        return type(self)(
            self.message,
            self.problems,
            provider=self.provider,
            model=self.model,
            text=self.text,
            fits=self.fits,
            calls=calls,
            usage=self.usage,
        )

    @property
    def value(self) -> Any:  # noqa: ANN401 - JSON
        """The best answer that there was, if it is of the schema, so that its valid part can be used; else None. A new copy."""
        return msgspec.json.decode(self.text) if self.fits else None


class PartialEmbeddingsError(ModelError):
    """Some of the texts have no vector: their requests failed for good.

    Attributes:
        vectors: those that there are, by the place of their text.
        failed: the places of the texts without one.
    """

    reason = "partial_embeddings"

    def __init__(self, message: str, vectors: Mapping[int, NDArray[np.float32]], failed: Sequence[int]) -> None:
        super().__init__(message)
        self.vectors = dict(vectors)
        self.failed = tuple(failed)


class UnavailableError(ModelError, CircuitBreakerError):
    """Nobody was asked: the circuits are open, the budgets are spent for now, or there was no free place.

    Attributes:
        because: what each provider of the chain said, by its name.
    """

    code = "CIRCUIT_BREAKER_OPEN"
    reason = "unavailable"
    counts_as_failure = False

    def __init__(self, message: str, because: Mapping[str, Exception], *, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.because = dict(because)
