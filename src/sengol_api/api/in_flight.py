"""Requests that are being answered, so that the process can end without losing one."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from starlette.datastructures import MutableHeaders
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
        answer = _Answer(drain, scope, send)
        if drain.phase is Phase.CUTTING:
            await answer.stopped(receive)
            return
        with drain.ticket() as ticket:
            answer.ticket = ticket
            try:
                await self._app(scope, receive, answer.send)
                if ticket.cut:
                    await asyncio.sleep(0)  # it was done already: let the cancellation come here, and not after us
            except asyncio.CancelledError:
                if not ticket.cut:
                    raise  # somebody else's
            if ticket.cut:
                if ticket.task is not None:
                    ticket.task.uncancel()
                await answer.stopped(receive)


class _Answer:
    """How far the answer to one request is."""

    def __init__(self, drain: Drain, scope: Scope, send: Send) -> None:
        self._drain = drain
        self._scope = scope
        self._send = send
        self.ticket: Ticket | None = None
        self._begun = False
        self._ended = False
        self._events = False

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer."""
        if message["type"] == "http.response.start":
            self._begun = True
            self._start(message)
        elif not message.get("more_body", False):
            self._ended = True
        await self._send(message)

    def _start(self, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        if self._drain.draining:
            headers["Connection"] = "close"
        if headers.get("content-type", "").startswith("text/event-stream"):
            self._events = True
            if self.ticket is not None and self._scope["state"].get(ENDLESS):
                self._drain.endless(self.ticket)

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
