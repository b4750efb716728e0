"""What surrounds every request, as plain ASGI: its id, its log line, its headers, and the last word on faults."""

import logging
import re
import time
from collections.abc import Iterable, Sequence
from random import getrandbits
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sengol_api.api.errors import respond, respond_to
from sengol_api.api.in_flight import ENDLESS
from sengol_api.api.replies import ADDED, add_headers
from sengol_api.observability.logging import request_id as current_request_id
from sengol_api.observability.metrics.http import NO_ROUTE, method_label
from sengol_api.observability.repeats import Repeats
from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.trace_context import TraceContext
from sengol_api.observability.trace_context import current as trace
from sengol_api.observability.trace_context import read as read_trace
from sengol_api.review.errors import AppError, Problem, ValidationError

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_QUIET: Final = ("/health", "/metrics", "/status")
BEGUN: Final = "begun"
"""In ``scope["state"]`` once the answer has begun: when it did, by ``time.perf_counter``."""
_VARY: Final = {"Vary": "Origin"}
_REFUSED: Final = frozenset({"OVERLOADED", "RATE_LIMIT_ERROR"})
"""Told by metrics and events: under overload most requests are, and a line for each would be a third of the work that it makes."""
_log = logging.getLogger("sengol_api.request")


class RequestContext:
    """Gives each request an id, its place in a trace and common headers; logs and counts its end.

    Args:
        app: the application inside.
        slow_request: milliseconds from which a request is logged as slow.
        telemetry: counts requests, and traces them where traces are on.
        headers: of every answer that does not set them itself.
    """

    def __init__(
        self, app: ASGIApp, *, slow_request: int, telemetry: Telemetry, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        self._app = app
        self._slow = slow_request / 1000
        self._http = telemetry.http
        self._tracer = telemetry.tracer
        self._common = ((b"cache-control", b"no-store"), *headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity, parent = _sent_along(scope["headers"])
        method: str = scope["method"]
        state = scope.setdefault("state", {})
        state["request_id"] = identity
        token = current_request_id.set(identity)
        here = trace.set(parent)
        span = None if self._tracer is None else self._tracer.request(method, scope["scheme"], parent)
        own = (b"x-request-id", identity.encode())
        status = 0

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                state[BEGUN] = time.perf_counter()
                given = message.get("headers", ())
                names = {name for name, _ in given}
                added = [header for header in self._common if header[0] not in names]
                message["headers"] = [*given, own, *added, *state.get(ADDED, ())]
            await send(message)

        self._http.begin()
        _log.debug("request began")
        started = time.perf_counter()
        try:
            await self._app(scope, receive, sender)
        finally:
            # A stream without an end of its own lasts as long as somebody looks: what counts is when it began.
            ended = state[BEGUN] if BEGUN in state and state.get(ENDLESS) else time.perf_counter()
            seconds = ended - started
            route: str = state.get("route", NO_ROUTE)
            code: str | None = state.get("error_code")
            self._http.end(method, route, status, seconds, code)
            self._log_end(method, route, status, seconds, code)
            if span is not None:
                span.end_request(method, route, status, code)
            trace.reset(here)
            current_request_id.reset(token)

    def _log_end(self, method: str, route: str, status: int, seconds: float, code: str | None) -> None:
        slow = seconds >= self._slow
        quiet = code in _REFUSED or (route.startswith(_QUIET) and status < 500)
        level = logging.WARNING if slow else logging.DEBUG if quiet else logging.INFO
        if _log.isEnabledFor(level):
            facts: dict[str, object] = {
                "method": method_label(method),
                "route": route,
                "status": status or "client gone",
                "durationMs": round(seconds * 1000, 1),
            }
            if code is not None:
                facts["code"] = code
            _log.log(level, "slow request" if slow else "request", extra=facts)


def _sent_along(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, TraceContext | None]:
    """The id of a request and its place in a trace: those that it brought along, if they are what they should be."""
    wish = b""
    parents: list[str] = []
    states: list[str] = []
    for name, value in headers:
        if name == b"x-request-id":
            wish = value
        elif name == b"traceparent":
            parents.append(value.decode("latin-1"))
        elif name == b"tracestate":
            states.append(value.decode("latin-1"))
    # A line break in a header that is logged would forge log lines: whatever is not plainly an id is replaced.
    identity = wish.decode() if _ID.fullmatch(wish) else f"{getrandbits(128):032x}"  # a name, not a secret
    return identity, read_trace(parents, states) if parents else None


class BrokenAnswerError(Exception):
    """An answer that had begun could not be finished: its connection is closed. What broke it is in the log."""


class Faults:
    """Turns whatever escapes the operations into the one shape of errors.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._failures = Repeats(_log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] != "http":
                raise
            self._failures.tell("unhandled fault", error, route=scope["state"].get("route", NO_ROUTE))
            fault = AppError("The service has a fault. Tell its operator the request id.")
            response = respond_to(scope, fault)
            if BEGUN in scope["state"]:
                # Closing the connection is all that can be said. The server logs what it gets: not the fault itself.
                raise BrokenAnswerError from None
            await response(scope, receive, send)


class Cors(CORSMiddleware):
    """Starlette's CORS, which refuses a preflight in the one shape of errors too, and costs nothing where no browser asks."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http" or any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
            return
        add_headers(scope, _VARY)
        await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to an OPTIONS request of a browser."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        reason = bytes(response.body).decode()
        refused = [
            Problem(name, "is not allowed here", "not_allowed")
            for name in ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
            if name.removeprefix("Access-Control-Request-").lower() in reason
        ] or [Problem("", reason, "not_allowed")]
        error = respond(ValidationError(refused), current_request_id.get() or "")
        kept = {key: value for key, value in response.headers.items() if key.startswith(("access-control-", "vary"))}
        return Response(error.body, error.status_code, kept, "application/json")
