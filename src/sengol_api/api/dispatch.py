"""From a request to an answer: who asks, is all of it right, how long may it take. Errors of every kind end here."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sengol_api.api.errors import (
    MethodNotAllowedError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    respond,
)
from sengol_api.api.operations import MIB, Answer, Call, Operation
from sengol_api.api.services import ApiOptions, Services
from sengol_api.resilience import TimedOut, deadline
from sengol_api.review import errors
from sengol_api.review.accounts import User
from sengol_api.review.errors import AppError, AuthenticationError, Problem, ValidationError
from sengol_api.validation import check, decode

T = TypeVar("T")
TIMEOUT_HEADER: Final = "x-request-timeout-ms"
_log = logging.getLogger("sengol_api.request")


class PathEndpoint:
    """All operations of one path, as an ASGI application.

    Args:
        operations: by method.
        services: gives the services of this process.
        options: of the HTTP face.
    """

    def __init__(self, operations: Mapping[str, Operation], services: Callable[[], Services], options: ApiOptions) -> None:
        self._operations = dict(operations)
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]
        self._services = services
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            try:
                response = await self._answer(request)
            except AppError as error:
                response = respond(error, scope["state"]["request_id"])
                if response.status_code >= 500:
                    _log.error("operation failed", exc_info=error.__cause__ or error, extra={"code": error.code})
            await response(scope, receive, send)
        except ClientDisconnect:
            return  # while it sent, or while it was sent to: nobody is there to be told

    async def _answer(self, request: Request) -> Response:
        operation = self._operations.get(request.method)
        if operation is None:
            allowed = sorted(self._operations)
            raise MethodNotAllowedError(
                f"{request.method} is not a method of this route; it has {', '.join(allowed)}.", {"allowed": allowed}
            )
        if not operation.timed:
            return await self._perform(operation, request, 0)
        milliseconds = self._deadline(request)
        try:
            with deadline(milliseconds / 1000):
                return await self._perform(operation, request, milliseconds)
        except TimedOut as error:
            if not error.by_deadline:
                raise
            raise out_of_time(milliseconds) from None

    def _deadline(self, request: Request) -> int:
        """The client's wish, clamped to the server's limit."""
        wish = request.headers.get(TIMEOUT_HEADER)
        if wish is None:
            return self._options.request_timeout
        if not (wish.isascii() and wish.isdigit() and len(wish) <= 12 and int(wish) > 0):
            message = f"takes a whole number of milliseconds above 0, got {wish[:20]!r}"
            raise ValidationError([Problem("X-Request-Timeout-Ms", message, "out_of_range")])
        return min(int(wish), self._options.request_timeout)

    async def _perform(self, operation: Operation, request: Request, milliseconds: int) -> Response:
        services = self._services()
        caller = await _authenticate(services, request) if operation.authenticated else None
        body, query = await _inputs(operation, request)
        call = Call(
            services=services,
            options=self._options,
            request=request,
            path=request.path_params,
            body=body,
            query=query,
            deadline_ms=milliseconds,
            caller=caller,
        )
        work = operation.handler(call)
        answer = await (_while_connected(request, work) if operation.streams else work)
        if isinstance(answer, Answer):
            return Response(answer.encode(), operation.status, dict(answer.headers), "application/json")
        return answer


def out_of_time(milliseconds: int) -> errors.TimeoutError:
    """What a client is told whose time is over."""
    return errors.TimeoutError(
        f"The request took longer than the {milliseconds} ms that it had. Ask for less, or allow it more time with "
        "X-Request-Timeout-Ms, up to the server's REQUEST_TIMEOUT.",
        {"deadlineMs": milliseconds},
    )


async def _while_connected(request: Request, work: Awaitable[T]) -> T:
    """Do long work for a client, and stop it when the client goes away.

    Raises:
        ClientDisconnect: nobody waits for the result any more.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _authenticate(services: Services, request: Request) -> User:
    user = await services.users.get(services.tokens.user_id(request.headers.get("authorization")))
    if user is None:
        raise AuthenticationError("The account of this token no longer exists. Register again.")
    return user


async def _inputs(operation: Operation, request: Request) -> tuple[Any, Any]:
    """Body and query string, with the problems of both in one error."""
    problems: list[Problem] = []
    query = body = None
    if operation.query is not None:
        given, repeated = _query_values(request)
        problems += repeated
        query, found = check(given, operation.query, strict=False)
        problems += found
    if operation.body is not None:
        content = await read_body(request, operation.body_limit)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise UnsupportedMediaTypeError(
                "The body must be JSON and say so: send the header «Content-Type: application/json».",
                {"contentType": kind[:100]},
            )
        try:
            body, found = check(decode(content), operation.body)
            problems += found
        except ValidationError as error:
            problems += error.problems
    if problems:
        raise ValidationError(problems)
    return body, query


def _query_values(request: Request) -> tuple[dict[str, str], list[Problem]]:
    values: dict[str, str] = {}
    repeated = []
    for name, value in request.query_params.multi_items():
        if name in values:
            repeated.append(Problem(name[:60], "is given more than once", "repeated"))
        values[name] = value
    return values, repeated


async def read_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is known to be too large.

    Raises:
        PayloadTooLargeError: more than ``limit`` bytes are announced or sent.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> PayloadTooLargeError:
    shown = f"{limit // MIB} MiB" if limit % MIB == 0 else f"{limit} bytes"
    return PayloadTooLargeError(f"The body is larger than the {shown} that this route takes.", {"limitBytes": limit})
