"""The client of d-vecDB: what it costs beside a bare request, what it finds, how long an index takes. It prints and judges nothing.

Overhead is measured against the same stub in another process, pairwise: contenders take turns in short batches, and the ratio of
a round is what counts, so that whatever else the machine does strikes all alike. Recall and building are measured with the real
server and the whole corpus, which takes minutes where QEMU has to run it; ``--records 2000`` for less.
"""

import argparse
import asyncio
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import numpy as np

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

from main_job import machine

from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.corpus.genai import read_genai
from sengol_api.adapters.corpus.own import read_own
from sengol_api.adapters.dvecdb import DvecdbClient, DvecdbOptions, InMemoryRecords
from sengol_api.adapters.dvecdb.protocol import INDEX
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from support.dvecdb.fake import Behaviour
from support.dvecdb.real import CannotRunError, DvecdbServer
from support.tiny_http import Reply, Request, TinyHttp

DIMENSION = 256
BATCH = 10
JSON = {"content-type": "application/json"}


# Overhead ----------------------------------------------------------------------------------------------------------------


def serve_stub(pipe: Any) -> None:
    """A d-vecDB that works out each search once and says it again: the stub's own time hides as little as possible."""
    behaviour = Behaviour()
    said: dict[bytes, Reply] = {}

    def handle(request: Request) -> Reply:
        if not request.path.endswith("/search"):
            return behaviour.handle(request)
        if request.body not in said:
            said[request.body] = behaviour.handle(request)
        return said[request.body]

    http = TinyHttp(lambda request, _: handle(request))
    pipe.send(http.port)
    pipe.recv()
    http.close()


async def in_turns(contenders: dict[str, Callable[[], Awaitable[Any]]], rounds: int) -> dict[str, list[float]]:
    """The median seconds of a call in each round, by contender."""
    for call in contenders.values():
        for _ in range(5 * BATCH):
            await call()
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    order, chance = list(contenders), random.Random(1)
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            times = []
            for _ in range(BATCH):
                began = time.perf_counter()
                await contenders[name]()
                times.append(time.perf_counter() - began)
            figures[name].append(statistics.median(times))
    return figures


async def overhead(port: int, rounds: int) -> None:
    """Search through the client beside bare requests with the same bytes there and back."""
    rows = np.random.default_rng(1).normal(size=(300, DIMENSION)).astype(np.float32)
    records = InMemoryRecords([f"inc-{n:05}" for n in range(len(rows))], rows, embedder="bench")
    query = rows[7] / np.linalg.norm(rows[7])
    options = DvecdbOptions(host="127.0.0.1", port=port, dimension=DIMENSION, insert_pause=0.0)
    client = DvecdbClient(options, records=records, cache=None)
    async with client, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:
        await client.ready()
        path = f"/collections/{client.get_health_status()['index']['collection']}/search"
        asked = {"vector": query.tolist(), "limit": 100, "ef_search": 100}
        body = msgspec.json.encode(asked)

        async def as_one_writes_it() -> Any:
            return (await http.post(path, json=asked)).json()

        async def bytes_only() -> Any:
            return (await http.post(path, content=body, headers=JSON)).content

        async def ours() -> Any:
            return await client.search_many(query[None, :], 10)

        async def with_facts() -> Any:
            return await client.search_by_vector(query, 10)

        contenders = {
            "httpx2, json= and .json()": as_one_writes_it,
            "httpx2, ready bytes, nothing read": bytes_only,
            "DvecdbClient.search_many": ours,
            "DvecdbClient.search_by_vector": with_facts,
        }
        figures = await in_turns(contenders, rounds)
    print("Overhead, cache off; ratio to each bare request: median of the rounds, quartiles. Target: at most 1.10")
    bare = list(contenders)[:2]
    for name, values in figures.items():
        ratios = "   ".join(f"{spread(values, figures[each])}" for each in bare)
        print(f"  {name:<36} p50 {statistics.median(values) * 1e6:7.0f} µs   {ratios}")


def spread(mine: list[float], theirs: list[float]) -> str:
    """The ratio of two contenders, round by round."""
    low, median, high = statistics.quantiles([one / other for one, other in zip(mine, theirs, strict=True)], n=4)
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


# Recall and building -----------------------------------------------------------------------------------------------------


async def corpus(limit: int | None) -> tuple[list[str], np.ndarray, np.ndarray, str]:
    """Ids and vectors of the incidents, vectors of queries as the service asks them, and the embedder's name."""
    incidents = sorted([*read_genai(load_vocabulary()), *read_own()], key=lambda each: each.id)
    step = 1 if limit is None else max(1, len(incidents) // limit)
    incidents = incidents[::step][:limit]
    embedder = WordLlamaEmbedder()
    vectors = await embedder.embed([each.searchable for each in incidents])
    queries = [msgspec.json.decode(line)["text"] for line in (ROOT / "eval" / "queries.jsonl").read_text().splitlines()]
    asked = await embedder.embed([*(area.query for area in load_catalogue().areas), *queries])
    return [each.id for each in incidents], vectors, asked, embedder.name


async def recall(limit: int | None, folder: Path) -> None:
    """Build the index through the client, ask, compare with the exact answers; then kill the server and build it again."""
    ids, vectors, queries, name = await corpus(limit)
    index = ExactIndex(ids, vectors)
    server = DvecdbServer(folder)
    server.start()
    try:
        options = DvecdbOptions(
            host="127.0.0.1", port=server.port, dimension=vectors.shape[1], check_interval=2.0, insert_pause=0.0
        )
        records = InMemoryRecords(ids, vectors, embedder=name)
        async with DvecdbClient(options, records=records, cache=None, exact=index) as client:
            print(f"\n{len(ids)} incidents, {vectors.shape[1]} numbers each; collections of {INDEX}")
            began = time.perf_counter()
            await client.ready()
            print(f"  built without pauses in                             {time.perf_counter() - began:7.1f} s", flush=True)
            for k in (10, 80):
                right = await index.search(queries, k)
                times, share, least = [], 0.0, 1.0
                for query, wanted in zip(queries, right, strict=True):
                    began = time.perf_counter()
                    (hits,) = await client.search_many(query[None, :], k)
                    times.append(time.perf_counter() - began)
                    found = len({hit.id for hit in hits} & {hit.id for hit in wanted}) / k
                    share, least = share + found, min(least, found)
                print(
                    f"  recall@{k:<3} over {len(queries)} queries{share / len(queries):21.4f}   worst {least:.2f}   "
                    f"p50 {statistics.median(times) * 1000:.0f} ms   target at 10: 0.99"
                )
            print(f"  answered exactly here instead                      {client.get_health_status()['statistics']['exact']}")
            await widths(server.url, client.get_health_status()["index"]["collection"], queries, index, ids)
            await again(server, client, index, queries)
    finally:
        server.kill()


async def widths(url: str, collection: str, queries: np.ndarray, index: ExactIndex, ids: list[str]) -> None:
    """Recall of the server itself, by the number of candidates."""
    from sengol_api.adapters.dvecdb.keys import KeyTable

    book, right = KeyTable(ids), await index.search(queries, 10)
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        for width in (10, 50, 100, 200):
            share = 0
            for query, wanted in zip(queries, right, strict=True):
                body = {"vector": query.tolist(), "limit": width, "ef_search": width}
                hits = (await http.post(f"/collections/{collection}/search", json=body)).json()["data"]
                nearest = sorted(hits, key=lambda hit: hit["distance"])[:10]
                found = await book.ids([hit["id"] for hit in nearest])
                share += len(set(found) & {hit.id for hit in wanted})
            print(f"  recall@10 of the server with {width:>3} candidates {share / len(queries) / 10:19.4f}")


async def again(server: DvecdbServer, client: DvecdbClient, index: ExactIndex, queries: np.ndarray) -> None:
    """``kill -9``, a restart, and the time until the index serves again."""
    await asyncio.to_thread(server.restart)
    began = time.perf_counter()
    while await asyncio.sleep(0.1, client.get_health_status()["rebuild"]["completed"]) < 2:
        pass
    print(f"  from the restart after kill -9 until it serves      {time.perf_counter() - began:7.1f} s")
    found, right = await client.search_many(queries, 10), await index.search(queries, 10)
    share = sum(len({h.id for h in mine} & {h.id for h in theirs}) for mine, theirs in zip(found, right, strict=True))
    print(f"  recall@10 after that {share / len(queries) / 10:39.4f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="of the overhead")
    parser.add_argument("--records", type=int, default=None, help="incidents to index; all unless it is given")
    parser.add_argument("--only", choices=("overhead", "recall"), help="one of the two")
    options = parser.parse_args()
    print(machine(), time.strftime("%Y-%m-%d"), sep="\n", end="\n\n")
    if options.only != "recall":
        ours, theirs = multiprocessing.Pipe()
        stub = multiprocessing.get_context("spawn").Process(target=serve_stub, args=(theirs,), daemon=True)
        stub.start()
        asyncio.run(overhead(ours.recv(), options.rounds))
        ours.send(None)
        stub.join(10)
    if options.only != "overhead":
        with tempfile.TemporaryDirectory() as folder:
            try:
                asyncio.run(recall(options.records, Path(folder)))
            except CannotRunError as error:
                print(f"\nNo recall and no building: {error}")


if __name__ == "__main__":
    main()
