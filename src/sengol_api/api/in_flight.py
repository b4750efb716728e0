"""Requests that are being answered, so that the process can end without losing one."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sengol_api.api.errors import ShuttingDownError, describe, respond
from sengol_api.ops.drain import Drain, Phase, Ticket

ENDLESS: Final = "endless"
"""Set in ``scope["state"]`` by the route of an event stream that does not end by itself."""


def shutting_down() -> ShuttingDownError:
    """What a request is told that cannot finish here."""
    return ShuttingDownError("This replica is stopping. Ask again: another one serves.", retry_after=1)


class InFlight:
    """Counts requests, tells clients to come back on another connection once the end has begun, and says so to those it cuts.

    Args:
        app: the application inside.
        drain: gives that of this process; None before it is started.
    """

    def __init__(self, app: ASGIApp, drain: Callable[[], Drain | None]) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        drain = self._drain()
        if drain is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if drain.phase is Phase.CUTTING:
            await _Answer(drain, scope, send, Ticket(None)).stopped(receive)
            return
        ticket = drain.enter()
        answer = _Answer(drain, scope, send, ticket)
        try:
            await self._app(scope, receive, answer.send)
            if ticket.cut:
                await asyncio.sleep(0)  # it was done already: let the cancellation come here, and not after us
        except asyncio.CancelledError:
            if not ticket.cut:
                raise  # somebody else's
        finally:
            drain.leave(ticket)
        if ticket.cut:
            if ticket.task is not None:
                ticket.task.uncancel()
            await answer.stopped(receive)


class _Answer:
    """How far the answer to one request is."""

    __slots__ = ("_begun", "_drain", "_ended", "_events", "_scope", "_send", "_ticket")

    def __init__(self, drain: Drain, scope: Scope, send: Send, ticket: Ticket) -> None:
        self._drain = drain
        self._scope = scope
        self._send = send
        self._ticket = ticket
        self._begun = False
        self._ended = False
        self._events = False

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            self._begun = True
            for name, value in message["headers"]:
                if name == b"content-type" and value.startswith(b"text/event-stream"):
                    self._events_begin()
            if self._drain.draining:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        elif not message.get("more_body", False):
            self._ended = True
        await self._send(message)

    def _events_begin(self) -> None:
        self._events = True
        if self._scope["state"].get(ENDLESS):
            self._drain.endless(self._ticket)

    async def stopped(self, receive: Receive) -> None:
        """Say why there is no answer, or no more of it, as far as it can still be said."""
        identity = self._scope["state"]["request_id"]
        if not self._begun:
            await respond(shutting_down(), identity)(self._scope, receive, self.send)
        elif self._events and not self._ended:
            told = msgspec.json.encode(describe(shutting_down(), identity))
            await self.send({"type": "http.response.body", "body": b"event: error\ndata: " + told + b"\n\n", "more_body": False})
        elif not self._ended:
            raise ConnectionAbortedError("the process stops in the middle of an answer")
