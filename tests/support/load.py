"""Clients that ask all the time and count every answer, over plain sockets: the least that a client can cost."""

import asyncio
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from support.wire import SYSTEM

Address = tuple[str, int]
PATIENCE: Final = 60.0
"""Seconds after which an answer counts as lost."""
_HEAD: Final = 64 * 1024


class LostError(Exception):
    """A request without an answer: the connection was refused, reset, or silent for too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, and the seconds that it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def data(self) -> Any:
        """What stands in the envelope."""
        return json.loads(self.body)["data"]


class Line:
    """One kept connection, opened again where the other side says that it closes. It never asks twice.

    Args:
        address: of the other side.
        headers: of every request.
    """

    def __init__(self, address: Address, headers: Mapping[str, str] | None = None) -> None:
        self.address = address
        self.headers = dict(headers or {})
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send a request and read the whole answer.

        Raises:
            LostError: there is none.
        """
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._asked(method, path, body, headers, began)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:  # TimeoutError is an OSError
            self.close()
            raise LostError(f"{method} {path}: {type(error).__name__} {error}") from error
        except BaseException:
            self.close()
            raise

    async def _asked(self, method: str, path: str, body: object, headers: Mapping[str, str], began: float) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self.address, limit=_HEAD)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        told = {"Host": "localhost", "Content-Length": str(len(content)), **self.headers, **headers}
        if body is not None:
            told["Content-Type"] = "application/json"
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        answered = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        received = await reader.readexactly(int(answered["content-length"]))
        if answered.get("connection") == "close" or first.startswith("HTTP/1.0"):
            self.close()
        return Answer(int(first.split()[1]), answered, received, time.perf_counter() - began)

    def close(self) -> None:
        """The next request opens another connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Tally:
    """What came of all requests."""

    answers: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def asked(self) -> int:
        """Requests that were sent, or that should have been."""
        return self.answers.total() + len(self.losses)

    @property
    def bad(self) -> list[str]:
        """Every request that was not answered as it should be."""
        return self.losses

    def quantile(self, share: float) -> float:
        """Seconds within which so many of the good answers came."""
        return statistics.quantiles(self.seconds, n=1000, method="inclusive")[round(share * 1000) - 1]

    async def count(self, line: Line, method: str, path: str, body: object = None, **headers: str) -> Answer | None:
        """Ask, and count what comes; None when it is no 2xx."""
        self.routes[f"{method} {path.split('/')[2] if path.count('/') > 1 else path}"] += 1
        at = time.monotonic() - self.began
        try:
            answer = await line.ask(method, path, body, **headers)
        except LostError as error:
            self.losses.append(f"after {at:.2f} s {error}")
            return None
        if answer.status // 100 != 2:
            self.losses.append(f"after {at:.2f} s {method} {path}: {answer.status} {answer.body[:300]!r}")
            return None
        self.answers[answer.status] += 1
        self.seconds.append(answer.seconds)
        return answer


def a_system(number: int) -> dict[str, object]:
    """A system under review; another number is another one."""
    return {**SYSTEM, "systemDescription": f"{SYSTEM['systemDescription']}; clinic number {number}"}


class Member:
    """A user who lists, reads, makes and generates reviews, and searches: mostly what is quick, as people do.

    Args:
        line: his connection.
        seed: of his choices.
        tally: where his requests are counted.
        systems: so many different systems are asked about; the answers of all but the first time are kept ones.
    """

    def __init__(self, line: Line, seed: int, tally: Tally, *, systems: int = 12) -> None:
        self._line = line
        self._chance = random.Random(seed)
        self._tally = tally
        self._systems = systems
        self._reviews: list[str] = []

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    async def act(self) -> None:
        """One request."""
        if not self._reviews:
            await self._make()
            return
        (step,) = self._chance.choices(_STEPS, _WEIGHTS)
        await step(self)

    async def _make(self) -> None:
        made = await self._ask("POST", "/api/review", {"name": f"Review {self._chance.randrange(1000)}"})
        if made is not None:
            self._reviews.append(made.data["id"])

    async def _list(self) -> None:
        await self._ask("GET", "/api/review?limit=5")

    async def _read(self) -> None:
        await self._ask("GET", f"/api/review/{self._chance.choice(self._reviews)}")

    async def _generate(self) -> None:
        body = a_system(self._chance.randrange(self._systems))
        await self._ask("POST", f"/api/review/{self._chance.choice(self._reviews)}/generate-questions", body)

    async def _search(self) -> None:
        words = self._chance.choice(["prompt injection", "stolen laptops", "open bucket", "ransom in a hospital"])
        await self._ask("POST", "/api/incidents/search", {"query": f"{words} {self._chance.randrange(50)}", "limit": 5})

    async def _ask(self, method: str, path: str, body: object = None) -> Answer | None:
        return await self._tally.count(self._line, method, path, body)


_STEPS: Final[Sequence[Callable[[Member], Awaitable[None]]]] = (
    Member._list,
    Member._read,
    Member._make,
    Member._generate,
    Member._search,
)
_WEIGHTS: Final = (50, 38, 5, 3, 4)


async def register(address: Address, email: str) -> dict[str, str]:
    """The headers of a new user."""
    line = Line(address)
    answer = await line.ask("POST", "/api/auth/register", {"email": email, "password": "a long passphrase"})
    line.close()
    assert answer.status == 201, answer.body
    return {"Authorization": f"Bearer {answer.data['token']}"}


async def crowd(members: Sequence[Member], until: Callable[[], bool], *, pause: float = 0.0) -> None:
    """All ask again and again, each one thing after the other, until it is enough.

    Args:
        members: who ask.
        until: whether it is enough.
        pause: mean seconds between an answer and the next request, by chance; 0 asks at once.
    """

    async def go(member: Member, chance: random.Random) -> None:
        while not until():
            await member.act()
            if pause:
                await asyncio.sleep(chance.expovariate(1 / pause))

    try:
        await asyncio.gather(*(go(member, random.Random(number)) for number, member in enumerate(members)))
    finally:
        for member in members:
            member.close()
        await asyncio.sleep(0)  # lets the sockets close
