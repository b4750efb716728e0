"""The least that an ASGI application can do in granian, with as many bytes of head and body as ``/health``: what is left for us."""

from collections.abc import Awaitable, Callable
from typing import Any

BODY = b'{"status":"ok","timestamp":"2026-11-27T00:00:00.000Z","uptime":12.345,"version":"0.1.0"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
HEADERS += [(b"x-header-%d" % number, b"some forty bytes, as a policy may have them") for number in range(9)]


async def app(_scope: dict[str, Any], _receive: object, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Answer."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})
