"""Requests and whole answers over httpx2: bounded in bytes, without redirects, cookies or proxies of the environment.

There is no time limit here: the policies around a request have one for the whole of it. httpx2's own are per socket operation, and
a server that drips a byte now and then outlives them.
"""

import asyncio
import ssl
import threading
from functools import lru_cache
from typing import Final, NamedTuple

import httpx2

from sengol_api.adapters.dvecdb.errors import AnswerTooLarge, ServerUnavailable

IDLE_CONNECTION: Final = 60.0
"""Seconds after which a connection that nobody uses is closed."""

_ALWAYS: Final = [(b"accept", b"application/json"), (b"accept-encoding", b"identity"), (b"user-agent", b"sengol-api")]


class Reply(NamedTuple):
    """A whole answer.

    Attributes:
        status: of HTTP.
        body: as it came.
        retry_after: the header of that name; None without one.
    """

    status: int
    body: bytes
    retry_after: str | None


class Http:
    """One server's connections: a pool for each event loop, since a connection belongs to the loop that opened it.

    Args:
        host: name or address.
        port: of the server.
        connections: idle ones that are kept.
        transport: instead of connections of its own.
    """

    def __init__(self, host: str, port: int, *, connections: int, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._base = f"http://{where}"
        self._headers = [(b"host", where.encode()), *_ALWAYS]
        self._limits = httpx2.Limits(max_connections=None, max_keepalive_connections=connections, keepalive_expiry=IDLE_CONNECTION)
        self._given = transport
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, httpx2.AsyncBaseTransport] = {}
        self._url = lru_cache(maxsize=256)(self._parse)

    def _parse(self, path: str) -> httpx2.URL:
        return httpx2.URL(self._base + path)

    async def send(self, method: str, path: str, body: bytes | None = None, *, most: int) -> Reply:
        """Send a request and read its answer.

        Args:
            method: of HTTP.
            path: from the root, quoted already.
            body: JSON; None for none.
            most: bytes that the answer may have.

        Raises:
            ServerUnavailable: no connection, or it broke.
            AnswerTooLarge: it has more bytes than that; no more were read.
        """
        headers = self._headers
        if body is not None:
            headers = [*headers, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        # Made of a stream, for which httpx2 works out no headers a second time: that would be a tenth of the time of a search.
        request = httpx2.Request(method, self._url(path), headers=headers, stream=httpx2.ByteStream(body or b""))
        try:
            response = await self._pool().handle_async_request(request)
            try:
                return Reply(response.status_code, await _whole(response, most), response.headers.get("retry-after"))
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            # Their texts may hold what the server sent.
            raise ServerUnavailable(_words_for(error), {"cause": type(error).__name__}) from None

    def _pool(self) -> httpx2.AsyncBaseTransport:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            # Plain HTTP only, so a context without certificates will do; to load them would take longer than a hundred searches.
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            pool = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=self._limits)
            with self._lock:
                self._pools = {each: kept for each, kept in self._pools.items() if not each.is_closed()}
                self._pools[loop] = pool
        return pool

    async def close(self) -> None:
        """Close the connections of the running event loop. A later request opens new ones."""
        with self._lock:
            pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()


async def _whole(response: httpx2.Response, most: int) -> bytes:
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:18]) > most:
        raise _too_large(most)
    parts = []
    length = 0
    async for part in response.stream:  # type: ignore[union-attr]  # that of an asynchronous transport
        length += len(part)
        if length > most:
            raise _too_large(most)
        parts.append(part)
    return b"".join(parts)


def _too_large(most: int) -> AnswerTooLarge:
    return AnswerTooLarge(f"The answer has more than {most} bytes, which no right one has; it was not read.", {"limit": most})


def _words_for(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.ConnectError):
        return "d-vecDB cannot be reached."
    if isinstance(error, httpx2.RemoteProtocolError):
        return "The connection to d-vecDB ended before its answer, or what came is not HTTP."
    return "The connection to d-vecDB broke."
