"""What surrounds every request, as plain ASGI: its id, its log line, its headers, and the last word on faults."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sengol_api.api.errors import respond
from sengol_api.observability.logging import request_id as current_request_id
from sengol_api.review.errors import AppError, Problem, ValidationError

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET: Final = frozenset({"/health", "/health/live"})
_log = logging.getLogger("sengol_api.request")


class RequestContext:
    """Gives each request an id and common headers, and logs its end.

    Args:
        app: the application inside.
        slow_request: milliseconds from which a request is logged as slow.
    """

    def __init__(self, app: ASGIApp, *, slow_request: int) -> None:
        self._app = app
        self._slow = slow_request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wish = Headers(scope=scope).get("x-request-id", "")
        # A line break in a header that is logged would forge log lines: whatever is not plainly an id is replaced.
        identity = wish if _ID.fullmatch(wish) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identity
        token = current_request_id.set(identity)
        started = time.perf_counter()
        status = 0

        async def sender(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = identity
                headers["X-Content-Type-Options"] = "nosniff"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, sender)
        finally:
            self._log_end(scope, status, (time.perf_counter() - started) * 1000)
            current_request_id.reset(token)

    def _log_end(self, scope: Scope, status: int, milliseconds: float) -> None:
        slow = milliseconds >= self._slow
        level = logging.WARNING if slow else logging.DEBUG if scope["path"] in _QUIET else logging.INFO
        if _log.isEnabledFor(level):
            facts = {
                "method": scope["method"],
                "route": scope.get("state", {}).get("route", "(none)"),
                "status": status or "client gone",
                "durationMs": round(milliseconds, 1),
            }
            _log.log(level, "slow request" if slow else "request", extra=facts)


class Faults:
    """Turns whatever escapes the operations into the one shape of errors.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        begun = False

        async def sender(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sender)
        except Exception:
            if scope["type"] != "http":
                raise
            _log.exception("unhandled fault", extra={"method": scope["method"]})
            if begun:
                raise  # the answer has begun: closing the connection is all that can be said
            fault = AppError("The service has a fault. Tell its operator the request id.")
            await respond(fault, scope["state"]["request_id"])(scope, receive, send)


class Cors(CORSMiddleware):
    """Starlette's CORS, which refuses a preflight in the one shape of errors too."""

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
        error.headers.update({key: value for key, value in response.headers.items() if key.startswith(("access-control-", "vary"))})
        return error
