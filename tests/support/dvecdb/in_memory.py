"""d-vecDB without a socket: a transport of httpx2 that answers in this event loop, for tests on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2

from support.dvecdb.fake import Behaviour
from support.tiny_http import Reply, Request

Fault = Callable[[Request], Awaitable[Reply | None]]
"""What happens to a request before it is handled: it may raise, wait, or answer itself."""


class InMemoryDvecdb(httpx2.AsyncBaseTransport):
    """The fake behind a transport.

    Attributes:
        server: what it does.
        seconds: that each request takes.
        fault: what happens to each; None for nothing.
        sent: method and path of each request that came.
        running: requests under way.
        most: at most so many at once so far.
    """

    def __init__(self, **options: float) -> None:
        self.server = Behaviour(**options)
        self.seconds = 0.0
        self.fault: Fault | None = None
        self.sent: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.running = self.most = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """See httpx2."""
        body = await request.aread()
        asked = Request(request.method, request.url.raw_path.decode(), dict(request.headers), body)
        self.sent.append((asked.method, asked.path))
        self.bodies.append(body)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            reply = None if self.fault is None else await self.fault(asked)
            reply = reply or self.server.handle(asked)
        finally:
            self.running -= 1
        kind = {} if reply.content_type is None else {"content-type": reply.content_type}
        return httpx2.Response(reply.status, headers={**kind, **reply.headers}, stream=httpx2.ByteStream(reply.body))

    def count(self, method: str, ending: str) -> int:
        """How many requests with such a method and such an end of the path came."""
        return sum(sent == method and path.endswith(ending) for sent, path in self.sent)


async def refusing(_: Request) -> Reply | None:
    """Nobody listens."""
    raise httpx2.ConnectError("10.0.0.1 said: secret words")


async def hanging(_: Request) -> Reply | None:
    """It never answers."""
    await asyncio.get_running_loop().create_future()
    return None


def answering(reply: Reply) -> Fault:
    """It answers with this, whatever is asked."""

    async def answer(_: Request) -> Reply | None:
        return reply

    return answer


def only(ending: str, fault: Fault) -> Fault:
    """The fault befalls requests whose path ends so."""

    async def select(request: Request) -> Reply | None:
        return await fault(request) if request.path.endswith(ending) else None

    return select
