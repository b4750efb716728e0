"""Ten times as many reviews as one worker can make, for a minute: ``make bench-overload``. It prints figures and judges nothing.

The worker has one core, what asks it has the other. Arrivals are those of an open system: they come by chance (a Poisson process)
at their rate, however long the answers take, over as many connections as that needs. No review was ever asked before.
Half of the arrivals come from one greedy user. Beside them somebody looks up his reviews, and a probe asks for health.
With ``--model`` each review would have help of a language model, which takes so many seconds for an answer, or is ``away``.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
from main_job import DOMAINS, SYSTEMS, Client, machine, processor_seconds, resident_mib, server

from support.assisted import helpful
from support.openai_faults import OpenAIFaults
from support.openai_taxonomy import Fault

PASSWORD = "a long passphrase"
USERS = 20
MOST_CONNECTIONS = 2000
PATIENCE = 30.0
SERVER_CORE, CLIENT_CORE = 0, 1


class Connection:
    """One kept connection of HTTP/1.1."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """Send a request and read the whole answer; its status, 0 when there is none."""
        try:
            async with asyncio.timeout(PATIENCE):
                if self._streams is None:
                    self._streams = await asyncio.open_connection(*self._address)
                reader, writer = self._streams
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
        except (OSError, EOFError, ValueError):
            self.close()
            return 0
        return int(head[9:12])

    def close(self) -> None:
        """The next request opens another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Seen:
    """What came of the requests of a phase."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refused: list[float] = field(default_factory=list)
    unsent: int = 0

    def note(self, who: str, status: int, seconds: float) -> None:
        """One answer."""
        self.statuses[who][status] += 1
        if status == 200:
            self.seconds[who].append(seconds)
        elif status == 503:
            self.refused.append(seconds)


def quantile(values: list[float], share: float) -> float:
    """In milliseconds."""
    if len(values) < 2:
        return float("nan")
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1] * 1000


class Load:
    """Asks the server.

    Args:
        url: of the server.
        tokens: of the users; the last one is the greedy one.
        reviews: one of each.
    """

    def __init__(self, url: str, tokens: list[str], reviews: list[str]) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._tokens = tokens
        self._reviews = reviews
        self._chance = random.Random(7)
        self._number = 0
        self._idle: list[Connection] = []
        self._open = 0

    def connection(self) -> Connection:
        """A new one."""
        return Connection(self._host, self._port)

    def review(self, user: int) -> bytes:
        """A request for a review that was never asked for."""
        self._number += 1
        body = json.dumps(
            {
                "systemDescription": f"{SYSTEMS[self._number % len(SYSTEMS)]}; site number {self._number}",
                "selectedDomains": DOMAINS,
                "industry": "healthcare",
                "jurisdictions": ["Germany", "US"],
            }
        )
        return self.request("POST", f"/api/review/{self._reviews[user]}/generate-questions", user, body)

    def request(self, method: str, path: str, user: int | None, body: str = "") -> bytes:
        """The bytes of a request."""
        token = "" if user is None else f"Authorization: Bearer {self._tokens[user]}\r\n"
        kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        return f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{token}{kind}\r\n{body}".encode()

    async def closed(self, at_once: int, seconds: float) -> Seen:
        """So many reviews at once, as fast as they come."""
        seen, end = Seen(), time.perf_counter() + seconds

        async def go() -> None:
            connection = self.connection()
            while time.perf_counter() < end:
                began = time.perf_counter()
                status = await connection.ask(self.review(self._chance.randrange(USERS)))
                seen.note("others", status, time.perf_counter() - began)
            connection.close()

        await asyncio.gather(*(go() for _ in range(at_once)))
        return seen

    async def opened(self, rate: float, seconds: float) -> Seen:
        """Reviews at a rate, in an open system; half of them are the greedy user's."""
        seen, began, under_way = Seen(), time.perf_counter(), set()
        due = began
        while due < began + seconds:
            due += self._chance.expovariate(rate)
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if not self._idle and self._open >= MOST_CONNECTIONS:
                seen.unsent += 1
                continue
            greedy = self._chance.random() < 0.5
            task = asyncio.create_task(self._arrived(seen, USERS if greedy else self._chance.randrange(USERS), due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        for connection in self._idle:
            connection.close()
        return seen

    async def _arrived(self, seen: Seen, user: int, due: float) -> None:
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = self.connection()
            self._open += 1
        status = await connection.ask(self.review(user))
        seen.note("greedy" if user == USERS else "others", status, time.perf_counter() - due)
        self._idle.append(connection)

    async def now_and_then(self, request: bytes, every: float, seconds: float) -> list[float]:
        """One request at a time, so often: the seconds that each took; endless for one that was refused."""
        connection, end, took = self.connection(), time.perf_counter() + seconds, []
        while time.perf_counter() < end:
            began = time.perf_counter()
            status = await connection.ask(request)
            took.append(time.perf_counter() - began if status == 200 else float("inf"))
            await asyncio.sleep(max(0.0, every - (time.perf_counter() - began)))
        connection.close()
        return took


def worker_threads(pid: int) -> dict[str, float]:
    """Processor seconds of each thread of the worker, which is the child of ``pid``. The thread of its loop has its number."""
    (worker,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = {}
    for thread in Path(f"/proc/{worker}/task").iterdir():
        fields = (thread / "stat").read_text().rpartition(")")[2].split()
        found["loop" if thread.name == worker else thread.name] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return found


@contextmanager
def model(wish: str | None) -> Iterator[dict[str, str]]:
    """Settings of a service with such a model, which runs in this process."""
    if wish is None:
        yield {"OPENAI_API_KEY": ""}
        return
    there = OpenAIFaults(seed=3)
    try:
        if wish == "away":
            there.always(Fault("away", how="reset at once"))
        else:
            there.reply = helpful
            there.always(Fault("slow", how="slow", seconds=float(wish)))
        yield {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": there.base_url, "EMBEDDINGS": "local"}
    finally:
        there.close()


def people(url: str) -> tuple[list[str], list[str]]:
    """Tokens and reviews of the users."""
    tokens, reviews = [], []
    for number in range(USERS + 1):
        client = Client(url)
        account = {"email": f"user-{number}@example.com", "password": PASSWORD}
        tokens.append(json.loads(client.send("POST", "/api/auth/register", account))["data"]["token"])
        client.headers["Authorization"] = f"Bearer {tokens[-1]}"
        reviews.append(json.loads(client.send("POST", "/api/review", {}))["data"]["id"])
    return tokens, reviews


async def measure(url: str, pid: int, seconds: float, times: float, most: int) -> None:
    """All phases, one after the other; the capacity is sought with up to ``most`` reviews at once."""
    load = Load(url, *people(url))
    await load.closed(2, 3)  # warm
    alone = await load.closed(1, 10)
    lookup = load.request("GET", "/api/review?limit=5", 0)
    lookups = await load.now_and_then(lookup, 0.05, 5)
    unloaded = quantile(alone.seconds["others"], 0.99)
    print(f"  unloaded: review p50 {quantile(alone.seconds['others'], 0.5):.0f} ms, p99 {unloaded:.0f} ms; ", end="")
    print(f"look-up p50 {quantile(lookups, 0.5):.1f} ms, p99 {quantile(lookups, 0.99):.1f} ms")
    health = load.request("GET", "/health", None)

    async def rate(at_once: int, seconds: float = 8) -> float:
        """Reviews a second of so many who ask one after the other, with the same beside them as in the overload."""
        beside = load.now_and_then(lookup, 0.1, seconds), load.now_and_then(health, 0.1, seconds)
        seen, *_ = await asyncio.gather(load.closed(at_once, seconds), *beside)
        return seen.statuses["others"][200] / seconds

    levels = [2**power for power in range(most.bit_length())]
    rates = {at_once: [await rate(at_once)] for at_once in levels}
    before, memory, threads = processor_seconds(pid), resident_mib(pid), worker_threads(pid)
    under = load.opened(times * max(held[0] for held in rates.values()), seconds)
    beside = load.now_and_then(lookup, 0.1, seconds)
    grown: list[float] = []
    seen, probes, lookups, _ = await asyncio.gather(
        under, load.now_and_then(health, 0.1, seconds), beside, _watched(pid, seconds, grown)
    )
    used, had = processor_seconds(pid) - before, worker_threads(pid)
    for at_once, held in rates.items():
        held.append(await rate(at_once))
        print(f"  {at_once} at once: {held[0]:.1f} reviews/s before, {held[1]:.1f} after")
    # The machine changes, and the highest of several is too high by chance: hence before and after, and the mean of both.
    peak = max(map(statistics.mean, rates.values()))
    report(seen, seconds=seconds, peak=peak, times=times, unloaded=unloaded)
    finite = [each for each in lookups if each < float("inf")]
    print(f"  /health: p50 {quantile(probes, 0.5):.1f} ms, p99 {quantile(probes, 0.99):.1f} ms, ", end="")
    print(f"slowest {max(probes) * 1000:.0f} ms of {len(probes)}")
    print(f"  look-ups beside it: p50 {quantile(finite, 0.5):.1f} ms, p99 {quantile(finite, 0.99):.1f} ms, ", end="")
    print(f"{len(lookups) - len(finite)} of {len(lookups)} refused")
    third = len(grown) // 3
    print(f"  memory: {memory:.0f} MiB before, {statistics.mean(grown[third : 2 * third]):.0f} MiB in the second third, ", end="")
    print(f"{statistics.mean(grown[2 * third :]):.0f} MiB in the last")
    print(f"  processor: {used / seconds * 100:.0f} % of a core")
    had = {name: (each - threads.get(name, 0.0)) / seconds * 100 for name, each in had.items()}
    loop = had.pop("loop")
    print(f"  of it: event loop {loop:.0f} %, busiest other thread, which computes, {max(had.values()):.0f} %")
    print(f"  load average at the end: {os.getloadavg()[0]:.1f}")


async def _watched(pid: int, seconds: float, grown: list[float]) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        grown.append(resident_mib(pid))
        await asyncio.sleep(1)


def report(seen: Seen, *, seconds: float, peak: float, times: float, unloaded: float) -> None:
    """Goodput and latency of the overload."""
    made = sum(each[200] for each in seen.statuses.values())
    total = sum(each.total() for each in seen.statuses.values())
    admitted = [took for each in seen.seconds.values() for took in each]
    other = {status for each in seen.statuses.values() for status in each} - {200, 503}
    print(f"  offered {times:g} x capacity for {seconds:g} s: {total} arrived ({total / seconds:.0f}/s), ", end="")
    print(f"{seen.unsent} had no connection")
    print(f"  goodput {made / seconds:.1f} reviews/s, {made / seconds / peak * 100:.0f} % of the peak of {peak:.1f}; ", end="")
    print("other statuses:", {status: sum(each[status] for each in seen.statuses.values()) for status in sorted(other)} or "none")
    p99 = quantile(admitted, 0.99)
    print(f"  admitted: p50 {quantile(admitted, 0.5):.0f} ms, p99 {p99:.0f} ms, {p99 / unloaded:.1f} x unloaded; ", end="")
    print(f"refused: p50 {quantile(seen.refused, 0.5):.1f} ms, p99 {quantile(seen.refused, 0.99):.0f} ms")
    greedy, others = seen.statuses["greedy"], seen.statuses["others"]
    got = greedy[200] / max(1, made) * 100
    print(f"  the greedy user sent {greedy.total() / total * 100:.0f} % and got {got:.0f} % of the reviews; ", end="")
    print(f"each of the {USERS} others got {others[200] / max(1, made) * 100 / USERS:.1f} %")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the overload")
    parser.add_argument("--times", type=float, default=10.0, help="the capacity that is offered")
    parser.add_argument("--model", help="seconds that a language model takes for an answer, or away; by default there is none")
    options = parser.parse_args()
    print(f"{machine()}; server on core {SERVER_CORE}, clients on core {CLIENT_CORE}; load average {os.getloadavg()[0]:.1f}\n")
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="sengol-bench-") as folder, model(options.model) as settings:
        settings |= {"CACHE_MAX_SIZE": "64", "LOG_LEVEL": "info", "DATABASE_URL": "", "REDIS_URL": ""}
        with server(Path(folder) / "data", pinned=SERVER_CORE, **settings) as (url, pid, _):
            asyncio.run(measure(url, pid, options.seconds, options.times, 8 if options.model is None else 32))


if __name__ == "__main__":
    main()
