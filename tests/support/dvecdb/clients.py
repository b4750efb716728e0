"""Clients of ours over a fake or a real d-vecDB, and small records to put there."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sengol_api.adapters.dvecdb import DvecdbClient, DvecdbOptions, InMemoryRecords
from sengol_api.resilience import CircuitBreaker
from sengol_api.resilience.testing import VirtualLoop, run_virtual
from support.dvecdb.in_memory import InMemoryDvecdb

DIMENSION = 8
EMBEDDER = "toy-8"


def unit(rows: int, *, seed: int = 7, dimension: int = DIMENSION) -> np.ndarray:
    """Random unit vectors, always the same."""
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ids_of(rows: int) -> list[str]:
    """Sorted ids."""
    return [f"inc-{n:04}" for n in range(rows)]


def records_of(rows: int, *, dimension: int = DIMENSION, **more: Any) -> InMemoryRecords:
    """Records of random vectors, each with the facts ``group`` (number modulo 7) and ``tags``."""
    ids = ids_of(rows)
    facts = {key: {"group": n % 7, "tags": ["even" if n % 2 == 0 else "odd", "all"]} for n, key in enumerate(ids)}
    return InMemoryRecords(ids, unit(rows, dimension=dimension), **{"embedder": EMBEDDER, "metadata": facts, **more})


def options_for(server: Any = None, **changes: Any) -> DvecdbOptions:
    """Options that suit tests: small batches without pauses; of the given server, if it has a port."""
    where = {} if server is None else {"host": "127.0.0.1", "port": server.port}
    told = {"dimension": DIMENSION, "insert_pause": 0.0, "breaker": CircuitBreaker(reset_timeout=1.0), **where}
    return DvecdbOptions(**{**told, **changes})


def exact(vectors: np.ndarray, query: np.ndarray, ids: list[str], limit: int, allowed: Any = None) -> list[str]:
    """Ids of the nearest, by their definition."""
    scores = vectors @ (query / np.linalg.norm(query))
    order = sorted(range(len(ids)), key=lambda row: (-scores[row], ids[row]))
    return [ids[row] for row in order if allowed is None or allowed(ids[row])][:limit]


class Words:
    """An ``Embedder`` for the toy records: each text is a vector of its own, always the same."""

    name = EMBEDDER
    dimension = DIMENSION

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.error = error

    async def embed(self, texts):
        """See the port."""
        self.calls.append(list(texts))
        if self.error is not None:
            raise self.error
        return np.stack([self.vector(text) for text in texts])

    @staticmethod
    def vector(text: str) -> np.ndarray:
        """What a text becomes."""
        return unit(1, seed=sum(text.encode()))[0]


@dataclass
class Setting:
    """A client over a server in memory, and what both were made of."""

    client: DvecdbClient
    server: InMemoryDvecdb
    records: Any
    embedder: Words
    loop: VirtualLoop


def virtually(
    work: Callable[[Setting], Awaitable[None]],
    *,
    rows: int = 40,
    records: Any = None,
    server: InMemoryDvecdb | None = None,
    options: dict[str, Any] | None = None,
    wait: bool = True,
    **more: Any,
) -> None:
    """Run a test on virtual time, with a client whose index is complete unless the test does not ``wait`` for that."""

    async def main(loop: VirtualLoop) -> None:
        kept = records_of(rows) if records is None else records
        there = server or InMemoryDvecdb()
        words = Words()
        given = {"embed": words, "cache": None, **more}
        client = DvecdbClient(options_for(**(options or {})), records=kept, clock=loop, transport=there, **given)
        async with client:
            assert not wait or await client.ready(600)
            there.sent.clear()
            await work(Setting(client, there, kept, words, loop))

    run_virtual(main)


async def until(condition: Callable[[], object], *, seconds: float = 600.0) -> None:
    """Let (virtual) time pass until something holds."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it never came"
        await asyncio.sleep(0.1)
