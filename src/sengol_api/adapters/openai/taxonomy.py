"""From what a provider or its SDK says to our errors. Neither its words nor the request goes on with them."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sengol_api.adapters.openai.errors import (
    AccessDeniedError,
    BadAnswerError,
    FilteredRequestError,
    KeyRefusedError,
    LateAnswerError,
    ModelError,
    NoSuchModelError,
    OverloadedError,
    QuotaError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    TooLongError,
    UnreachableError,
)
from sengol_api.adapters.openai.hints import wait_asked

QUOTA: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
"""In ``type`` or in ``code``: no waiting helps."""

TOO_LONG: Final = frozenset(
    {"context_length_exceeded", "max_tokens_per_request", "string_above_max_length", "array_above_max_length"}
)
OVERLOADED_WAIT: Final = 5.0
"""Seconds to wait for an overloaded provider that does not say how long."""

_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")

_ADVICE: Final[dict[type[ModelError], str]] = {
    QuotaError: "has nothing left to spend on this account. Check its plan and billing",
    RateLimitedError: "takes no more requests or tokens for now",
    KeyRefusedError: "does not accept the key. Check api_key (OPENAI_API_KEY): mistyped, revoked, or of another account?",
    AccessDeniedError: "does not let this key do that. Check the rights of the key, the project and the country",
    NoSuchModelError: "knows no such model or address. Check the model (OPENAI_MODEL) and the base URL (OPENAI_BASE_URL)",
    TooLongError: "takes no request of so many tokens. Send less, in parts, or to a model with a larger context",
    FilteredRequestError: "stopped the request in its content filter",
    RequestRefusedError: "takes no such request. Check the parameters, and whether this model knows them",
    OverloadedError: "is overloaded",
    ServerFailedError: "failed",
}


def from_answer(status: int, error: Any, headers: Mapping[str, str], provider: str, *, wall: float) -> ModelError:  # noqa: ANN401 - JSON
    """The error for an HTTP answer of 4xx or 5xx.

    Args:
        status: of the answer.
        error: its ``error`` object, or whatever stands in its place.
        headers: of the answer.
        provider: its name.
        wall: seconds since the epoch here.
    """
    kind, code, message = _told(error)
    wait = wait_asked(headers, message, wall=wall)
    family = _family(status, {kind, code})
    if family is OverloadedError:
        wait = OVERLOADED_WAIT if wait is None else wait
    if not family.retryable:
        wait = None
    waits = "" if wait is None else f"; it asks to wait {wait:.3g} s"
    request_id = headers.get("x-request-id", "")
    told = family(
        f"Provider {provider} {_ADVICE[family]}{waits} (status {status}).",
        provider=provider,
        status=status,
        request_id=request_id if _ID.fullmatch(request_id) else None,
        retry_after=wait,
    )
    told.limits = {name: headers[name] for name in headers if name.lower().startswith("x-ratelimit-")}
    return told


def from_error_object(error: Any, provider: str, *, wall: float = 0.0) -> ModelError:  # noqa: ANN401 - JSON
    """The error for an ``error`` object that came with status 200, or in the middle of a stream."""
    kind, code, message = _told(error)
    family = _family(429 if "rate_limit" in f"{kind} {code}" else 500, {kind, code})
    wait = wait_asked({}, message, wall=wall) if family.retryable else None
    return family(
        f"Provider {provider} {_ADVICE[family]} (an error in its answer).", provider=provider, status=200, retry_after=wait
    )


def _told(error: Any) -> tuple[str, str, str]:  # noqa: ANN401 - JSON
    """Type, code and message of an error object; texts, whatever it holds."""
    if not isinstance(error, Mapping):
        return "", "", ""
    kind, code, message = (error.get(name) for name in ("type", "code", "message"))
    return str(kind or ""), str(code or ""), message if isinstance(message, str) else ""


def _family(status: int, words: set[str]) -> type[ModelError]:  # noqa: PLR0911 - a table
    if status == 402 or words & QUOTA:
        return QuotaError
    if status == 413 or (status in {400, 422, 429} and words & TOO_LONG):
        return TooLongError
    if status == 400 and "content_filter" in words:
        return FilteredRequestError
    if status in {503, 529} or words & {"server_is_overloaded", "overloaded_error"}:
        return OverloadedError
    if status in {408, 409, 425} or status >= 500:
        return ServerFailedError
    if 300 <= status < 400:  # prompts are not sent on to wherever an answer points
        return NoSuchModelError
    return {401: KeyRefusedError, 403: AccessDeniedError, 404: NoSuchModelError, 429: RateLimitedError}.get(
        status, RequestRefusedError
    )


def from_sdk(error: Exception, provider: str, *, wall: float) -> ModelError:
    """The error for what the SDK, or the HTTP client below it, raised."""
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        return from_answer(error.status_code, error.body, error.response.headers, provider, wall=wall)
    if isinstance(error, openai.APIConnectionError | httpx2.TransportError):
        return _from_transport(error, provider)
    if isinstance(error, openai.APIResponseValidationError | httpx2.HTTPError | ValueError):
        return BadAnswerError(f"Provider {provider} gave an answer that cannot be read.", provider=provider, status=200)
    if isinstance(error, openai.APIError):
        return from_error_object(error.body, provider, wall=wall)
    return KeyRefusedError(
        f"Provider {provider}: the SDK found no valid credentials for it. Check api_key (OPENAI_API_KEY).", provider=provider
    )


def _from_transport(error: Exception, provider: str) -> ModelError:
    import httpx2

    causes = list(_causes(error))

    def caused_by(*kinds: type[BaseException]) -> BaseException | None:
        return next((each for each in causes if isinstance(each, kinds)), None)

    where = "Check the base URL (OPENAI_BASE_URL), the network, and whether the server runs"
    name = caused_by(socket.gaierror)
    if isinstance(name, socket.gaierror):
        passes = name.errno == socket.EAI_AGAIN
        why = "the name server gives no answer for now" if passes else "there is no host of that name"
        return UnreachableError(f"Provider {provider} cannot be reached: {why}. {where}.", provider=provider, retryable=passes)
    if caused_by(ssl.SSLCertVerificationError):
        why = "its certificate is not valid for this machine"
        return UnreachableError(f"Provider {provider} cannot be reached: {why}. {where}.", provider=provider, retryable=False)
    if caused_by(httpx2.UnsupportedProtocol, httpx2.ProxyError):
        return UnreachableError(
            f"Provider {provider} cannot be reached by that address or proxy. {where}.", provider=provider, retryable=False
        )
    if caused_by(httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
        why = "refuses connections" if caused_by(ConnectionRefusedError) else "lets no connection come about"
        return UnreachableError(f"Provider {provider} {why}. {where}.", provider=provider)
    if caused_by(httpx2.TimeoutException):
        return LateAnswerError(f"Provider {provider} was silent for longer than its client allows.", provider=provider)
    return UnreachableError(
        f"The connection to provider {provider} broke before the answer was complete.", provider=provider, sent=True
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        if isinstance(link, BaseExceptionGroup):
            for each in link.exceptions:
                yield from _causes(each)
        link = link.__cause__ or link.__context__
