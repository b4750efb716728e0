"""The ``VectorIndex`` on PostgreSQL."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np
import sqlalchemy as sa

from sengol_api.adapters.pgvector import statements
from sengol_api.adapters.pgvector.errors import failures, translated
from sengol_api.adapters.pgvector.selection import Selection
from sengol_api.adapters.pgvector.sync import synchronise
from sengol_api.adapters.pgvector.table import LONGEST_INDEXED, VectorTable, make_table
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change
from sengol_api.resilience import Bulkhead, CircuitBreaker, Pipeline, Timeout, remaining
from sengol_api.review.ports import Embedder, Hit, Vectors
from sengol_api.review.provenance import FRESH, note

P = ParamSpec("P")
T = TypeVar("T")
Nearest = list[tuple[int, float]]
"""Rows that are near to a query: number and distance."""

SEARCH: Final = "search"
TIMEOUT: Final = 10.0
CONCURRENT: Final = 4
CANDIDATES_PER_HIT: Final = 2


@dataclass(frozen=True, slots=True)
class PgVectorOptions:
    """How exactly is searched.

    Attributes:
        rows_per_candidate: to look at so many rows takes as long as the index takes for one candidate (measured: bench/stores.py).
            Where it is the cheaper way every row is looked at, which is exact.
        least_candidates: that the index collects for a query: more find more, and take longer.
        timeout: seconds that a search may take, if the caller's deadline leaves as much.
    """

    rows_per_candidate: int = 80
    least_candidates: int = 100
    timeout: float = TIMEOUT


def default_pipeline(timeout: float = TIMEOUT) -> Pipeline:
    """What a search goes through: it leaves the store of record most of its connections, and a dead server alone."""
    return Pipeline("pgvector", CircuitBreaker(), Bulkhead(max_concurrent=CONCURRENT), Timeout(timeout))


class PgVectorIndex:
    """Searches vectors that PostgreSQL keeps in a table of their own, one per embedder, with an HNSW index.

    ::

        index = await PgVectorIndex.open(database, embedder)      # makes table and index, fills them from the store of record
        hits = await index.search(queries, 80, allowed)           # one round trip of a search, for all queries

    The table follows the store of record: :meth:`synchronise` brings it up to date. Make it by :meth:`open`.

    Args:
        database: of the store of record; PostgreSQL with pgvector.
        embedder: whose vectors.
        options: how exactly is searched.
        pipeline: that searches go through.
    """

    def __init__(self, database: Database, embedder: Embedder, options: PgVectorOptions, pipeline: Pipeline) -> None:
        self._database = database
        self._embedder = embedder
        self._options = options
        self._pipeline = pipeline
        self._table = VectorTable.of(embedder)
        self._numbers: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._select = lru_cache(maxsize=4)(self._selection)  # nearly every search allows the same incidents
        self._left_behind: set[asyncio.Task[Any]] = set()

    @classmethod
    async def open(
        cls,
        database: Database,
        embedder: Embedder,
        *,
        options: PgVectorOptions | None = None,
        pipeline: Pipeline | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> "PgVectorIndex":
        """An index that is up to date with what the store of record has of the embedder now.

        Args:
            database: of the store of record.
            embedder: whose vectors.
            options: how exactly is searched.
            pipeline: that searches go through; None for one of its own.
            on_progress: is told how many vectors more are in the table.

        Raises:
            VectorDBError: the database is no PostgreSQL with pgvector; the message says what to do.
            DatabaseError: the database failed.
        """
        chosen = options or PgVectorOptions()
        index = cls(database, embedder, chosen, pipeline or default_pipeline(chosen.timeout))
        await make_table(database, index._table)
        await index.synchronise(on_progress=on_progress)
        return index

    async def synchronise(self, *, on_progress: Callable[[int], None] = lambda _: None) -> Change:
        """Bring the table up to date; searches go on meanwhile, and find what was there before or is there after.

        Raises:
            DatabaseError: the database failed; what was done is kept, and a repetition does the rest.
        """
        change = await synchronise(self._database, self._table, self._embedder, on_progress=on_progress)
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.text(f"SELECT number, id FROM {self._table.name}"))).all()
        self._ids = dict(rows)
        self._numbers = {key: number for number, key in self._ids.items()}
        self._select.cache_clear()
        return change

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        return self._table.dimension

    async def ping(self, database: Database) -> None:
        """Ask for one product of vectors: it needs the server, the extension and the table.

        Args:
            database: the same one over connections that no search has, so that the answer comes when all of theirs are in use.

        Raises:
            DatabaseError: one of them is not there.
        """
        async with database.read() as connection:
            await connection.execute(sa.text(f"SELECT vector <#> vector FROM {self._table.name} LIMIT 1"))

    async def search(self, queries: Vectors, limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """See the port. Among many incidents the nearest are found by the index, which may miss one in some hundred.

        Raises:
            ValueError: a vector of another dimension, or one that is not finite.
            VectorDBError: the database did not serve.
            CircuitBreakerError: it is not asked now.
            TimeoutError: the caller's deadline is over.
        """
        self._check(queries)
        selection = self._select(allowed)
        wanted = min(limit, len(selection))
        if wanted <= 0 or not len(queries):
            return [[] for _ in range(len(queries))]
        with translated(self._database.shown_url):
            found = await self._pipeline.call(self._leaving, self._search, queries, wanted, selection, filtered=allowed is not None)
        note(SEARCH, FRESH)
        return [self._hits(row)[:wanted] for row in found]

    async def compare(self, queries: Vectors, ids: Sequence[Sequence[str]]) -> list[list[float]]:
        """See the port; raises what :meth:`search` does."""
        self._check(queries)
        held = self._numbers
        asked = enumerate(zip(queries, ids, strict=True))
        pairs = [(place, held[key]) for place, (_, each) in asked for key in each if key in held]
        scores: dict[tuple[int, int], float] = {}
        if pairs:
            with translated(self._database.shown_url):
                scores = await self._pipeline.call(self._leaving, self._compare, queries, pairs)
        return [[scores.get((place, held.get(key, -1)), 0.0) for key in each] for place, each in enumerate(ids)]

    async def _leaving(self, work: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work, and when the caller is cut do not wait for its end: a connection to a frozen server takes seconds to close."""
        task = asyncio.create_task(work(*args, **kwargs))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            self._left_behind.add(task)
            task.add_done_callback(self._gone)
            raise
        return task.result()

    def _gone(self, task: asyncio.Task[Any]) -> None:
        self._left_behind.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: nobody waits for it

    def _selection(self, allowed: frozenset[str] | None) -> Selection:
        return Selection.of(self._numbers, allowed)

    def _hits(self, row: Nearest) -> list[Hit]:
        """Best first; what another replica has added meanwhile is left out."""
        ids = self._ids
        hits = [Hit(ids[number], -distance) for number, distance in row if number in ids]
        hits.sort(key=lambda hit: (-hit.score, hit.id))
        return hits

    async def _search(self, queries: Vectors, wanted: int, selection: Selection, *, filtered: bool) -> list[Nearest]:
        # Which of those that are equally near come in is decided by their ids, if a few more than are wanted are looked at.
        more = wanted + max(20, wanted // 4)
        candidates = max(self._options.least_candidates, math.ceil(CANDIDATES_PER_HIT * wanted * len(self) / len(selection)))
        if self._table.dimension > LONGEST_INDEXED or len(selection) <= self._options.rows_per_candidate * candidates:
            question = statements.exact(self._table, selection, more=more, settled=False)
        else:
            question = statements.approximate(self._table, selection, filtered=filtered, more=more, candidates=candidates)
        found = await self._ask(question, queries)
        # Either the index gave up before it had enough, or even those few more are not enough to see where the equals end.
        again = [place for place, row in enumerate(found) if len(row) < wanted or (len(row) == more and _as_far(row, wanted))]
        if again:
            question = statements.exact(self._table, selection, more=wanted, settled=True)
            for place, row in zip(again, await self._ask(question, queries[again]), strict=True):
                found[place] = row
        return found

    async def _ask(self, question: statements.Question, queries: Vectors) -> list[Nearest]:
        """One transaction: the settings, and the search."""
        given = self._given(queries)
        usual = {"statement_timeout": self._milliseconds(), "jit": "off", "plan_cache_mode": "force_custom_plan"}
        found: list[Nearest] = [[] for _ in range(len(queries))]
        with failures(self._database.shown_url):
            async with self._database.read() as connection:
                await connection.execute(*statements.apply(usual | question.settings))
                for number, numbers, distances in (await connection.execute(sa.text(question.text), question.values | given)).all():
                    found[number - 1] = list(zip(numbers or (), distances or (), strict=True))
        return found

    async def _compare(self, queries: Vectors, pairs: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
        places, numbers = zip(*pairs, strict=True)
        values = {**self._given(queries), "places": [place + 1 for place in places], "numbers": list(numbers)}
        with failures(self._database.shown_url):
            async with self._database.read() as connection:
                await connection.execute(*statements.apply({"statement_timeout": self._milliseconds()}))
                rows = (await connection.execute(statements.distances(self._table), values)).all()
        return {(place - 1, number): -distance for place, number, distance in rows}

    def _given(self, queries: Vectors) -> dict[str, Any]:
        return {"queries": queries.ravel().tolist(), "count": len(queries), "dimension": self._table.dimension}

    def _milliseconds(self) -> str:
        """What the server gives a search: no longer than the caller waits."""
        left = remaining()
        return str(max(1, int(1000 * (self._options.timeout if left is None else min(self._options.timeout, left)))))

    def _check(self, vectors: Vectors) -> None:
        dimension = self._table.dimension
        if vectors.ndim != 2 or vectors.shape[-1] != dimension:
            raise ValueError(f"expected vectors of dimension {dimension}, got an array of shape {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise ValueError("a vector holds a value that is not finite")


def _as_far(row: Nearest, wanted: int) -> bool:
    """Whether the last that is wanted is no nearer than the last of all."""
    distances = sorted(distance for _, distance in row)
    return distances[wanted - 1] == distances[-1]
