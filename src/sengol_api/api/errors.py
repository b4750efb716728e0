"""The table of errors: code, status and what it means. Routes, documentation and OpenAPI all read it."""

import math
from typing import Final

import msgspec
from starlette.types import Scope

from sengol_api.api.replies import JsonResponse
from sengol_api.api.wire import ErrorOut
from sengol_api.resilience import CircuitOpen, Rejected
from sengol_api.review.errors import AppError, CircuitBreakerError

STATUS: Final[dict[str, tuple[int, str]]] = {
    "VALIDATION_ERROR": (400, "The request is wrong; metadata.errors lists every problem."),
    "AUTHENTICATION_ERROR": (401, "The token or the credentials are missing or not valid."),
    "AUTHORIZATION_ERROR": (403, "The account may not do this."),
    "NOT_FOUND": (404, "There is no such thing, or it belongs to somebody else."),
    "METHOD_NOT_ALLOWED": (405, "The route has no such method; the Allow header lists those it has."),
    "TIMEOUT_ERROR": (408, "The time that the request had is over."),
    "CONFLICT": (412, "The review changed since it was read (If-Match)."),
    "PAYLOAD_TOO_LARGE": (413, "The body is larger than the route takes."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "The body is not declared as application/json."),
    "HEADERS_TOO_LARGE": (431, "The headers of the request are larger than the service takes."),
    "RATE_LIMIT_ERROR": (429, "Too many requests; wait for Retry-After seconds."),
    "INTERNAL_ERROR": (500, "A fault of the service; the request id finds it in the log."),
    "DATABASE_ERROR": (500, "The store of record failed; nothing was changed."),
    "VECTORDB_ERROR": (503, "The vector index failed."),
    "LLM_ERROR": (503, "The language model failed."),
    "CIRCUIT_BREAKER_OPEN": (503, "A dependency fails and is not called for now."),
    "OVERLOADED": (503, "The service has more to do than it can; wait for Retry-After seconds."),
    "SHUTTING_DOWN": (503, "This replica is stopping; another one serves."),
}


class MethodNotAllowedError(AppError):
    """The route has no such method."""

    code = "METHOD_NOT_ALLOWED"


class PayloadTooLargeError(AppError):
    """The body is larger than the route takes."""

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaTypeError(AppError):
    """The body is not declared as JSON."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class HeadersTooLargeError(AppError):
    """The head of the request is larger than the service takes."""

    code = "HEADERS_TOO_LARGE"


class ShuttingDownError(AppError):
    """This replica is stopping."""

    code = "SHUTTING_DOWN"


class OverloadedError(AppError):
    """There is more to do than can be done."""

    code = "OVERLOADED"


def refusal(error: Rejected) -> AppError:
    """What a client is told when a policy refused its call."""
    if isinstance(error, CircuitOpen):
        return CircuitBreakerError("A dependency fails and is not called for now. Try again later.", retry_after=error.retry_after)
    return OverloadedError(
        "The service has more to do than it can. Wait as long as Retry-After says; X-Priority: batch is for work that can wait.",
        retry_after=error.retry_after if error.retry_after is not None else 1.0,
    )


def describe(error: AppError, request_id: str) -> ErrorOut:
    """The wire shape of an error."""
    metadata = dict(error.metadata)
    if error.retry_after is not None:
        metadata["retryAfter"] = error.retry_after
    return ErrorOut(
        error=error.message,
        code=error.code,
        status_code=STATUS[error.code][0],
        metadata=metadata,
        request_id=request_id,
    )


def respond(error: AppError, request_id: str) -> JsonResponse:
    """The answer for an error, with the headers that belong to it."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(0, math.ceil(error.retry_after)))
    if error.code == "AUTHENTICATION_ERROR":
        headers["WWW-Authenticate"] = "Bearer"
    if error.code == "METHOD_NOT_ALLOWED":
        headers["Allow"] = ", ".join(error.metadata["allowed"])
    body = msgspec.json.encode(describe(error, request_id))
    return JsonResponse(body, STATUS[error.code][0], headers)


def respond_to(scope: Scope, error: AppError) -> JsonResponse:
    """The answer to a request that ends in an error, whose code is left where the log and the metrics find it."""
    scope["state"]["error_code"] = error.code
    return respond(error, scope["state"]["request_id"])
