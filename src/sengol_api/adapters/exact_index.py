"""Exact nearest-neighbour search: one matrix product. At this size it is faster than it is worth approximating."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from sengol_api.adapters.ranking import best
from sengol_api.review.ports import Hit, Vectors

INLINE: Final = 1
"""So many queries are answered at once, in about a millisecond; more go to a thread."""


class ExactIndex:
    """The ``VectorIndex`` in memory.

    Args:
        ids: one per vector.
        vectors: unit vectors, shape (n, dimension), float32.
    """

    def __init__(self, ids: Sequence[str], vectors: Vectors) -> None:
        if vectors.ndim != 2 or len(ids) != len(vectors):
            raise ValueError(f"{len(ids)} ids for vectors of shape {vectors.shape}")
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self._ids = [ids[row] for row in order]
        self._rows = {key: row for row, key in enumerate(self._ids)}
        self._matrix = np.ascontiguousarray(vectors[order], dtype=np.float32)
        self._part = lru_cache(maxsize=2)(self._select)  # nearly every search allows the same incidents

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Sequence[str]:
        """Of all incidents, sorted."""
        return self._ids

    @property
    def vectors(self) -> Vectors:
        """Theirs, in the same order, shape (n, dimension); not to be changed."""
        return self._matrix

    async def search(self, queries: Vectors, limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """See the port."""
        self._check(queries)
        if len(queries) <= INLINE:
            return self._search(queries, limit, allowed)
        return await asyncio.to_thread(self._search, queries, limit, allowed)

    async def compare(self, queries: Vectors, ids: Sequence[Sequence[str]]) -> list[list[float]]:
        """See the port."""
        self._check(queries)
        if len(queries) <= INLINE:
            return self._compare(queries, ids)
        return await asyncio.to_thread(self._compare, queries, ids)

    def _compare(self, queries: Vectors, ids: Sequence[Sequence[str]]) -> list[list[float]]:
        return [self._similarities(query, each) for query, each in zip(queries, ids, strict=True)]

    def _similarities(self, query: Vectors, ids: Sequence[str]) -> list[float]:
        held = [row for row in map(self._rows.get, ids) if row is not None]
        scores = (self._matrix[held] @ query).tolist()
        if len(held) < len(ids):
            known = iter(scores)
            return [next(known) if key in self._rows else 0.0 for key in ids]
        return scores  # type: ignore[no-any-return]

    def _search(self, queries: Vectors, limit: int, allowed: frozenset[str] | None) -> list[list[Hit]]:
        ids, matrix = (self._ids, self._matrix) if allowed is None else self._part(allowed)
        count = min(limit, len(ids))
        if count <= 0:
            return [[] for _ in range(len(queries))]
        return [best(ids, scores, count) for scores in queries @ matrix.T]

    def _select(self, allowed: frozenset[str]) -> tuple[list[str], Vectors]:
        rows = sorted(self._rows[key] for key in allowed if key in self._rows)
        return [self._ids[row] for row in rows], self._matrix[rows]

    def _check(self, vectors: Vectors) -> None:
        dimension = self._matrix.shape[1]
        if vectors.ndim != 2 or vectors.shape[-1] != dimension:
            raise ValueError(f"expected vectors of dimension {dimension}, got an array of shape {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise ValueError("a vector holds a value that is not finite")
