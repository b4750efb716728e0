"""A TCP proxy before any server that misbehaves as it is told, at run time and in each direction."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from support.loop_thread import LoopThread
from support.tiny_http import RST

Direction = Literal["to_server", "to_client"]
BOTH: tuple[Direction, ...] = ("to_server", "to_client")


@dataclass(frozen=True)
class Pass:
    """Bytes go on as they come."""


@dataclass(frozen=True)
class Freeze:
    """Bytes, and the end of them, wait."""


@dataclass(frozen=True)
class Delay:
    """What was read in one go goes on some seconds later."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """A few bytes go on, then nothing for some seconds."""

    seconds: float
    size: int


@dataclass(frozen=True)
class Cut:
    """So many bytes go on, counted from the connection's beginning; then the connection ends, both ways."""

    after: int
    reset: bool


Manner = Pass | Freeze | Delay | Drip | Cut


@dataclass(eq=False)
class Link:
    """One client's connection, with the one to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    passed: Counter[str] = field(default_factory=Counter)

    def end(self, *, reset: bool) -> None:
        """Both connections: in order, or with a reset to the client."""
        for writer in (self.client, self.server):
            if writer is None:
                continue
            raw = writer.get_extra_info("socket")
            if reset and raw is not None and raw.fileno() >= 0:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
                writer.transport.abort()
            else:
                writer.close()


class TcpProxy:
    """Passes everything on until it is told otherwise; ``close`` it.

    What it is told holds for open connections and for new ones, until ``pass_on`` or the next order for that direction.

    Attributes:
        port: its own, on the loopback interface; it keeps the port while it refuses.
        accepted: how many connections came.
        passed: how many bytes went on, by direction.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = (host, port)
        self._links: set[Link] = set()
        self._manners: dict[str, Manner] = dict.fromkeys(BOTH, Pass())
        self._on_accept: Literal["connect", "hang", "reset"] = "connect"
        self._listener: asyncio.Server | None = None
        self._closing = False
        self.accepted = 0
        self.passed: Counter[str] = Counter()
        self._holder = _bound(0)  # bound and never listening: without a listener beside it, the kernel refuses
        self.port: int = self._holder.getsockname()[1]
        self._thread = LoopThread("tcp-proxy")
        self._thread.run(self._start())

    async def _start(self) -> None:
        self._changed = asyncio.Event()
        await self._listen()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, sock=_bound(self.port), backlog=2048)

    @property
    def url(self) -> str:
        """For clients that speak HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many connections are open."""
        return self._thread.call(lambda: len(self._links))

    # Orders ----------------------------------------------------------------------------------------------------------

    def pass_on(self) -> None:
        """Be a good proxy again: what was frozen goes on."""
        self._thread.run(self._order("connect", dict.fromkeys(BOTH, Pass())))

    def refuse(self) -> None:
        """As if the server had been killed: open connections are reset, new ones are refused."""
        self._thread.run(self._order("reset", {}))
        self._thread.run(self._stop_listening())

    def hang(self) -> None:
        """Accept new connections and say nothing; open ones freeze."""
        self._thread.run(self._order("hang", dict.fromkeys(BOTH, Freeze())))

    def reset(self) -> None:
        """Reset the open connections, and each new one as soon as it is accepted."""
        self._thread.run(self._order("reset", {}))

    def reset_open(self) -> None:
        """Reset the open connections only."""
        self._thread.call(self._reset_all)

    def freeze(self, *directions: Direction) -> None:
        """Let no byte go on; both directions unless one is named."""
        self._tell(Freeze(), directions)

    def delay(self, seconds: float, *directions: Direction) -> None:
        """Let everything come later."""
        self._tell(Delay(seconds), directions)

    def drip(self, seconds: float, *directions: Direction, size: int = 1) -> None:
        """Let ``size`` bytes go on every so many seconds."""
        self._tell(Drip(seconds, size), directions)

    def cut(self, after: int, *directions: Direction, reset: bool = False) -> None:
        """End each connection after so many bytes of it have gone on, in order or with a reset."""
        self._tell(Cut(after, reset), directions)

    def close(self) -> None:
        """Stop; open connections are reset."""
        self._closing = True
        self._thread.run(self._stop_listening())
        self.reset_open()
        self._thread.close()
        self._holder.close()

    def _tell(self, manner: Manner, directions: tuple[Direction, ...]) -> None:
        self._thread.run(self._order("connect", dict.fromkeys(directions or BOTH, manner)))

    async def _order(self, on_accept: Literal["connect", "hang", "reset"], manners: dict[str, Manner]) -> None:
        self._on_accept = on_accept
        self._manners.update(manners)
        self._changed.set()
        self._changed = asyncio.Event()
        if on_accept == "reset":
            self._reset_all()
        await self._listen()

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _reset_all(self) -> None:
        for link in list(self._links):
            link.end(reset=True)

    # Connections -----------------------------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = Link(writer)
        self._links.add(link)
        try:
            while self._on_accept == "hang":
                await self._changed.wait()
            if self._on_accept == "connect":
                await self._serve(reader, link)
        except asyncio.CancelledError:
            if not self._closing:  # else it is our own end, of which the streams of Python 3.11 would print a traceback
                raise
        finally:
            link.end(reset=self._on_accept == "reset")
            self._links.discard(link)

    async def _serve(self, reader: asyncio.StreamReader, link: Link) -> None:
        try:
            answers, link.server = await asyncio.open_connection(*self._target)
        except OSError:
            link.end(reset=True)
            return
        await asyncio.gather(
            self._pump("to_server", reader, link.server, link), self._pump("to_client", answers, link.client, link)
        )

    async def _pump(self, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link) -> None:
        try:
            while data := await reader.read(65_536):
                await self._forward(direction, data, writer, link)
            while isinstance(self._manners[direction], Freeze):
                await self._changed.wait()
            with suppress(OSError, RuntimeError):
                writer.write_eof()
        except OSError:  # one side broke off: the other learns it
            link.end(reset=True)

    async def _forward(self, direction: str, data: bytes, writer: asyncio.StreamWriter, link: Link) -> None:
        while data:
            size = len(data)
            match manner := self._manners[direction]:
                case Freeze():
                    await self._changed.wait()
                    continue
                case Delay(seconds):
                    await self._pause(seconds)
                case Drip(_, few):
                    size = few
                case Cut(after):
                    size = max(0, after - link.passed[direction])
            part, data = data[:size], data[size:]
            link.passed[direction] += len(part)
            self.passed[direction] += len(part)
            writer.write(part)
            await writer.drain()
            if isinstance(manner, Cut) and link.passed[direction] >= manner.after:
                link.end(reset=manner.reset)
                return
            if isinstance(manner, Drip) and data:
                await self._pause(manner.seconds)

    async def _pause(self, seconds: float) -> None:
        """That long, or until another order comes."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


@contextmanager
def tcp_proxy(port: int, host: str = "127.0.0.1") -> Iterator[TcpProxy]:
    """A proxy that is stopped afterwards."""
    proxy = TcpProxy(port, host)
    try:
        yield proxy
    finally:
        proxy.close()
