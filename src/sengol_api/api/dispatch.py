"""From a request to an answer: who asks, is all of it right, how long may it take. Errors of every kind end here."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sengol_api.api.addresses import client_address, household
from sengol_api.api.errors import (
    STATUS,
    MethodNotAllowedError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    refusal,
    respond_to,
)
from sengol_api.api.gate import HEADER as PRIORITY_HEADER
from sengol_api.api.gate import OVER_SHARE, level_of
from sengol_api.api.limits import LimitReachedError
from sengol_api.api.operations import MIB, Admit, Answer, Call, Operation
from sengol_api.api.replies import JsonResponse, add_headers
from sengol_api.api.services import ApiOptions, Services
from sengol_api.observability.repeats import Repeats
from sengol_api.resilience import Priority, Rejected, TimedOut, deadline
from sengol_api.review import errors
from sengol_api.review.accounts import User
from sengol_api.review.errors import AppError, AuthenticationError, AuthorizationError, Problem, ValidationError
from sengol_api.validation import check, decode

T = TypeVar("T")
CONTENT: Final = "content"
"""In ``scope["state"]`` of an operation whose answers may be at hand: the body as it came."""
TIMEOUT_HEADER: Final = "x-request-timeout-ms"
BODY_SECONDS: Final = 30.0
"""For a body to arrive: enough for 4 MiB over a poor line, and not long enough to hold many connections open for nothing."""
_EXPECTED: Final = frozenset({"OVERLOADED", "CIRCUIT_BREAKER_OPEN", "SHUTTING_DOWN"})
"""Told by metrics and events: a log line for each refused request would be one more load."""
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
        self._failures = Repeats(_log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            try:
                response = await self._answer(request)
                self._failures.settle()
            except AppError as error:
                response = respond_to(scope, error)
                log_failure(self._failures, request, error)
            await tell(response, scope, receive, send)
        except ClientDisconnect:
            return  # while it sent, or while it waited: nobody is there to be told

    async def _answer(self, request: Request) -> Response | JsonResponse:
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
        except Rejected as error:
            raise refusal(error) from error
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

    async def _perform(self, operation: Operation, request: Request, milliseconds: int) -> Response | JsonResponse:
        """Count it, let it in, and do it: in this order, so that what is refused has cost next to nothing."""
        services = self._services()
        work = operation.work
        level = level_of(request.headers.get(PRIORITY_HEADER), operation.priority) if work else operation.priority
        if request.scope["state"].get(OVER_SHARE):
            level = Priority.BATCH
        user_id = await self._counted(operation, request, services)

        inputs: tuple[Any, Any] | None = None
        if work == "heavy":
            inputs = await _inputs(operation, request)  # who sends his body slowly holds no place meanwhile
            if operation.at_hand is not None and operation.at_hand(services, inputs[0]):
                work = "light"

        async def perform(admit: Admit) -> Response | JsonResponse:
            caller = await _account(services, user_id) if user_id is not None else None
            if operation.admin:
                _only_admins(caller)
            body, query = inputs or await _inputs(operation, request)
            call = Call(
                services=services,
                options=self._options,
                request=request,
                path=request.path_params,
                body=body,
                query=query,
                deadline_ms=milliseconds,
                caller=caller,
                admit=admit,
                failures=self._failures,
            )
            doing = operation.handler(call)
            answer = await (_while_connected(request, doing) if operation.streams else doing)
            if isinstance(answer, Answer):
                return JsonResponse(answer.encode(), answer.status or operation.status, answer.headers)
            return answer

        if work is None:
            return await perform(_at_once)
        if operation.streams and wants_stream(request):
            return await perform(lambda do: services.gate.admit(work, level, do, user=user_id))
        return await services.gate.admit(work, level, lambda: perform(_at_once), user=user_id)

    async def _counted(self, operation: Operation, request: Request, services: Services) -> str | None:
        """Whose token it is, or None where none is needed; counted for the user, or else for the address."""
        user_id, wrong = None, None
        if operation.authenticated:
            try:
                user_id = services.tokens.user_id(request.headers.get("authorization"))
            except AuthenticationError as error:
                wrong = error
        if operation.limit is not None:
            if user_id is not None:
                subject = f"user:{user_id}"
            else:
                subject = f"address:{household(client_address(request.scope, self._options.trusted_proxies))}"
            try:
                add_headers(request.scope, await services.limits.take(operation.limit, subject))
            except LimitReachedError as reached:
                add_headers(request.scope, reached.headers)
                raise reached.error from None
        if wrong is not None:
            raise wrong
        return user_id


def log_failure(failures: Repeats, request: Request, error: Exception) -> None:
    """Log an operation that failed on our side, by what made it fail; its code is in the request's state."""
    code, route = request.scope["state"]["error_code"], request.scope["state"]["route"]
    if STATUS[code][0] >= 500 and code not in _EXPECTED:
        failures.tell("operation failed", error.__cause__ or error, code=code, method=request.method, route=route)


async def tell(response: Response | JsonResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer, to whoever is still there."""
    with suppress(OSError):  # what a server raises by ASGI 2.4 when the client is gone
        await response(scope, receive, send)


def wants_stream(request: Request) -> bool:
    """Whether the client asks for a stream of events."""
    return "text/event-stream" in request.headers.get("accept", "")


async def _at_once(do: Callable[[], Awaitable[T]]) -> T:
    return await do()


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


async def _account(services: Services, user_id: str) -> User:
    user = await services.users.get(user_id)
    if user is None:
        raise AuthenticationError("The account of this token no longer exists. Register again.")
    return user


def _only_admins(caller: User | None) -> None:
    if caller is None or caller.role != "admin":
        _log.warning("an account without the role asked for an admin route", extra={"account": caller.id if caller else None})
        raise AuthorizationError("This needs an administrator. On the host, «sengol-api admin grant EMAIL» makes one.")


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
        if operation.at_hand is not None:
            request.scope["state"][CONTENT] = content
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
        TimeoutError: it did not arrive in time.
        ValidationError: it breaks off.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        message = f"The body did not arrive within {BODY_SECONDS:g} s. Send it faster, or less of it."
        raise errors.TimeoutError(message, {"bodySeconds": BODY_SECONDS, "receivedBytes": size}) from None
    except ClientDisconnect:  # or a body that is not what its headers announce, which servers tell in the same way
        raise ValidationError([Problem("", "breaks off, or is not in the form that its headers announce", "broken_body")]) from None
    return b"".join(chunks)


def _too_large(limit: int) -> PayloadTooLargeError:
    shown = f"{limit // MIB} MiB" if limit % MIB == 0 else f"{limit} bytes"
    return PayloadTooLargeError(f"The body is larger than the {shown} that this route takes.", {"limitBytes": limit})
