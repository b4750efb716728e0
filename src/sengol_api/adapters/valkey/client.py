"""The client that the adapters share: commands and scripts, from any number of event loops."""

import asyncio
import hashlib
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from sengol_api.adapters.valkey.address import ValkeyAddress
from sengol_api.adapters.valkey.errors import ValkeyRefusedError
from sengol_api.adapters.valkey.line import Line

TIMEOUT: Final = 0.5
CONNECT_TIMEOUT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Script:
    """A script in Lua that the server runs as one step.

    Attributes:
        text: the script.
        sha: by which the server knows it.
    """

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> "Script":
        """The script of a text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


class ValkeyClient:
    """Talks to one server, over one connection per event loop that asks.

    Nothing is connected before the first command, and a lost connection is made anew by the next one. There is no retry and no
    waiting here: who asks has a time limit and a circuit breaker of its own.

    Args:
        url: as ``REDIS_URL``: ``redis://[user:password@]host[:port][/database]``, ``rediss://…`` or ``unix:///path[?db=number]``.
        timeout: seconds for an answer, after which the connection is given up.
        connect_timeout: seconds for a connection.

    Raises:
        ValueError: the URL is of no supported form, or a file that it names cannot be used.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._address = ValkeyAddress.parse(url)
        self._address.tls_context()  # what is wrong with its files is told now
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._lines: dict[asyncio.AbstractEventLoop, Line] = {}
        self._lock = threading.Lock()

    @property
    def shown_url(self) -> str:
        """The URL without user and password."""
        return str(self._address)

    def __repr__(self) -> str:
        return f"ValkeyClient({self.shown_url!r})"

    def ask(self, *command: str | bytes | int) -> "asyncio.Future[Any]":
        """Send a command, at once; the future is its answer: bytes, int, list or None.

        Commands that are sent in the same tick of the event loop go out together, and come back in one read.

        Raises:
            ValkeyAwayError: by the future: the server cannot be reached, hung up, or did not answer in time.
            ValkeyRefusedError: by the future: it answered with an error.
        """
        return self._line().ask(command)

    async def run(self, script: Script, keys: tuple[str | bytes, ...], *arguments: str | bytes | int) -> Any:  # noqa: ANN401
        """Run a script in one round trip; in two when the server has not seen it yet, or was restarted.

        Raises:
            ValkeyAwayError: as for :meth:`ask`.
            ValkeyRefusedError: as for :meth:`ask`.
        """
        try:
            return await self.ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except ValkeyRefusedError as error:
            if error.code != "NOSCRIPT":
                raise
        return await self.ask("EVAL", script.text, len(keys), *keys, *arguments)

    async def ping(self) -> None:
        """Ask whether the server is there.

        Raises:
            ValkeyError: it is not, or refuses.
        """
        await self.ask("PING")

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on that nobody waits for, until it is done or :meth:`aclose` ends it."""
        self._line().in_background(work)

    async def aclose(self) -> None:
        """End the connection of this event loop, and the work in its background; a later command opens another."""
        with self._lock:
            line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None:
            await line.close()

    def _line(self) -> Line:
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop)
        if line is None:
            with self._lock:
                for gone in [each for each in self._lines if each.is_closed()]:
                    del self._lines[gone]
                line = self._lines[loop] = Line(self._address, self._timeout, self._connect_timeout)
        return line
