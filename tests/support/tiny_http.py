"""HTTP/1.1 over a real socket with nothing between a test and the bytes: a handler may answer, stall, or break the connection.

Small on purpose, and quick: an answer that waits for nothing is written in the same step in which its request arrived.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.loop_thread import LoopThread

RST = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends a reset


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The path as it was sent, without the query."""
        return urlsplit(self.target).path

    @property
    def segments(self) -> list[str]:
        """The decoded parts of the path."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self, length: int | None = None) -> bytes:
        """The lines before the body; ``length`` announces another one than the body has."""
        kind = {} if self.content_type is None else {"content-type": self.content_type}
        size = {"content-length": str(len(self.body) if length is None else length), "date": formatdate(usegmt=True)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**kind, **size, **self.headers}.items())
        known = self.status in HTTPStatus._value2member_map_
        return f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase if known else 'Unknown'}\r\n{lines}\r\n".encode("latin-1")


class Connection(asyncio.Protocol):
    """One client's connection: its requests are handled one after the other."""

    def __init__(self, server: "TinyHttp") -> None:
        self._server = server
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = transport
        self._server.connections.add(self)
        self._server.accepted += 1

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio; work for a client that left ends."""
        self._server.connections.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._buffer += data
        try:
            while self._task is None and (request := self._next()) is not None:
                reply = self._server.handle(request, self)
                if isinstance(reply, Reply):
                    self.transport.write(reply.head() + reply.body)
                else:
                    self._task = asyncio.ensure_future(reply)
                    self._task.add_done_callback(self._handled)
        except Exception as error:  # noqa: BLE001 - kept for ``close``, which raises it in the test's own thread
            self._failed(error)

    def _handled(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ConnectionError):
            self._failed(error)
        if not self.transport.is_closing():
            self.data_received(b"")

    def _failed(self, error: BaseException) -> None:
        self._server.problems.append(error)
        self.reset()

    def _next(self) -> Request | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if "transfer-encoding" in headers:
            raise NotImplementedError("this server reads no chunked requests")
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        method, target, _ = first.split(" ", 2)
        return Request(method, target, headers, rest[:length])

    def write(self, data: bytes) -> None:
        """Bytes to the client, as they are."""
        if self.transport.is_closing():
            raise ConnectionResetError("the client has left")
        self.transport.write(data)

    def close(self) -> None:
        """An orderly end, after what was written."""
        self.transport.close()

    def reset(self) -> None:
        """A reset (RST), also of what was not yet sent."""
        if (raw := self.transport.get_extra_info("socket")) is not None and raw.fileno() >= 0:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        self.transport.abort()


Handler = Callable[[Request, Connection], Reply | Awaitable[None]]


class TinyHttp:
    """A server on a free port of the loopback interface, in a thread of its own.

    Args:
        handle: gives a ``Reply``, or an awaitable that writes to the connection itself. It runs in the server's loop.
    """

    def __init__(self, handle: Handler, *, name: str = "tiny-http", port: int = 0) -> None:
        self.handle = handle
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.problems: list[BaseException] = []
        self._thread = LoopThread(name)
        try:
            self._server = self._thread.run(self._listen(port))
        except BaseException:
            self._thread.close()
            raise
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _listen(self, port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: Connection(self), "127.0.0.1", port, backlog=2048)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function in the server's thread, so that no request sees half of what it changes."""
        return self._thread.call(function, *arguments)

    def drop_connections(self) -> None:
        """Reset every connection."""
        self._thread.call(lambda: [connection.reset() for connection in list(self.connections)])

    def close(self) -> None:
        """Stop; connections are reset. An error of the handler is raised here, where a test sees it."""
        self._thread.call(self._server.close)
        self.drop_connections()
        self._thread.close()
        if self.problems:
            raise AssertionError(f"the handler raised: {self.problems[0]!r}") from self.problems[0]
