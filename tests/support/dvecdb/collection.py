"""One collection of the fake d-vecDB: what it keeps, and its search that answers worst-first."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from support.dvecdb.wire import Body

DEFAULT_INDEX = {"max_connections": 16, "ef_construction": 200, "ef_search": 50, "max_layer": 16}


class DomainError(Exception):
    """Answered with HTTP 200 and ``success: false``."""


@dataclass
class Collection:
    """Vectors by id, each with its metadata."""

    name: str
    dimension: int
    distance_metric: str
    vector_type: str
    index: dict[str, int]
    vectors: dict[str, tuple[np.ndarray, Any]] = field(default_factory=dict)
    _rows: np.ndarray | None = None

    @classmethod
    def of(cls, body: Body) -> "Collection":
        """From the request that creates it."""
        index = body.optional_map("index_config")
        return cls(
            body.text("name"),
            body.size("dimension"),
            body.one_of("distance_metric", "Cosine", "Euclidean", "DotProduct", "Manhattan"),
            body.one_of("vector_type", "Float32", "Float16", "Int8"),
            dict(DEFAULT_INDEX) if index is None else {name: index.size(name) for name in DEFAULT_INDEX},
        )

    def describe(self) -> list[dict[str, Any]]:
        """Its configuration and its counts, as a pair."""
        kinds = {"distance_metric": self.distance_metric, "vector_type": self.vector_type}
        config = {"name": self.name, "dimension": self.dimension, **kinds, "index_config": self.index}
        sizes = {"index_size": 0, "memory_usage": len(self.vectors) * (64 + 4 * self.dimension)}
        return [config, {"name": self.name, "vector_count": len(self.vectors), "dimension": self.dimension, **sizes}]

    def check(self, vector: np.ndarray) -> None:
        """Refuse another dimension."""
        if len(vector) != self.dimension:
            raise DomainError(f"Invalid vector dimension: expected {self.dimension}, got {len(vector)}")

    def put(self, identity: str, vector: np.ndarray, metadata: Any) -> None:
        """Insert or replace."""
        self.vectors[identity] = (vector, metadata)
        self._rows = None

    def remove(self, identity: str) -> None:
        """Whether it is there or not."""
        self.vectors.pop(identity, None)
        self._rows = None

    def search(
        self, query: np.ndarray, limit: int, ef_search: int | None, *, hidden: Callable[[str], bool]
    ) -> list[dict[str, Any]]:
        """The **farthest** ``limit`` of the nearest ``max(ef_search, limit)``, farthest first."""
        if not self.vectors or limit == 0:
            return []
        if self._rows is None:
            self._rows = np.stack([vector for vector, _ in self.vectors.values()])
        distances = self._distances(query, self._rows)
        width = max(self.index["ef_search"] if ef_search is None else ef_search, limit)
        order = np.argsort(distances, kind="stable")  # what is no number counts as farthest
        kept = list(self.vectors.items())
        nearest = [row for row in order if not hidden(kept[row][0])][:width]
        return [
            {"id": kept[row][0], "distance": _as_json(distances[row]), "metadata": kept[row][1][1]} for row in nearest[::-1][:limit]
        ]

    def _distances(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            match self.distance_metric:
                case "Euclidean":
                    return np.sqrt(np.sum((rows - query) ** 2, axis=1, dtype=np.float32))
                case "Manhattan":
                    return np.sum(np.abs(rows - query), axis=1, dtype=np.float32)
            products = np.sum(rows * query, axis=1, dtype=np.float32)
            if self.distance_metric == "DotProduct":
                return -products
            # In single precision and without a clamp: a vector can be a little nearer to itself than nothing.
            norms = np.sqrt(np.sum(rows * rows, axis=1, dtype=np.float32)) * np.sqrt(np.sum(query * query, dtype=np.float32))
            return np.float32(1) - np.where(norms == 0, np.float32(0), products / norms)


def _as_json(distance: np.float32) -> float | None:
    return float(str(distance)) if np.isfinite(distance) else None
