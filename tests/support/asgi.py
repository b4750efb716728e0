"""Driving an ASGI application without a server: its lifespan, and requests whose client can go away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """The application between the start and the stop of its server."""
    inbox, outbox = asyncio.Queue(), asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    message = await outbox.get()
    assert message["type"] == "lifespan.startup.complete", message
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await task


class Exchange:
    """One request of which a test decides when the body comes and when the client goes away.

    Args:
        app: the application.
        path: with the query string.
        headers: as names and values.
        body: the parts of the body; the last part ends it.
        spec_version: of ASGI: from 2.4 on a server raises OSError at a send to a client that is gone.
    """

    def __init__(self, app: ASGIApp, method="GET", path="/", headers=(), body=(b"",), spec_version="2.3") -> None:
        path, _, query = path.partition("?")
        self.sent: list[dict] = []
        self.news = asyncio.Event()
        self._gone = asyncio.Event()
        self._raises = spec_version >= "2.4"
        self._body = list(body)
        self.read_parts = 0
        self._app = app
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": spec_version},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(_raw(name).lower(), _raw(value)) for name, value in headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }

    async def run(self) -> "Exchange":
        """Until the application is done with the request."""
        await self._app(self._scope, self._receive, self._send)
        return self

    def leave(self) -> None:
        """The client goes away."""
        self._gone.set()

    @property
    def status(self) -> int:
        """The status of the answer; 0 without one."""
        return self.sent[0]["status"] if self.sent else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def content(self) -> bytes:
        """The body of the answer so far."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    async def _receive(self) -> dict:
        if self._body:
            self.read_parts += 1
            return {"type": "http.request", "body": self._body.pop(0), "more_body": bool(self._body)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict) -> None:
        if self._raises and self._gone.is_set():
            raise OSError("the client is gone")
        self.sent.append(message)
        self.news.set()
        await asyncio.sleep(0)


def _raw(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
