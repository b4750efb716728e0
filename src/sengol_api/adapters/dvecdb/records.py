"""The store of record, as the client needs it: d-vecDB forgets, so what it shall know has to be kept elsewhere."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike

from sengol_api.adapters.dvecdb.errors import InvalidVector
from sengol_api.adapters.dvecdb.vectors import Rows, unit_row, unit_rows


class Batch(NamedTuple):
    """Some records: ids, and their vectors as rows, shape (n, dimension)."""

    ids: Sequence[str]
    vectors: Rows


class Item(NamedTuple):
    """A record to keep: its id, its vector of shape (dimension,), and facts to filter by."""

    id: str
    vector: ArrayLike
    metadata: Mapping[str, Any] = {}


class Change(NamedTuple):
    """What a write did to the version: exactly this write lies between the two."""

    before: str
    after: str


class Records(Protocol):
    """Vectors by id, with facts about each."""

    @property
    def embedder(self) -> str:
        """Model and version that made the vectors."""

    async def version(self) -> str:
        """A text that is another one whenever an id, a vector or a fact was added, removed or changed."""

    async def count(self) -> int:
        """How many vectors there are."""

    def batches(self, size: int) -> AsyncIterator[Batch]:
        """All of them, each once, at most ``size`` at a time, in an order that stays the same while the version does."""

    async def metadata(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Facts about some, by id; one that is not there may be left out."""


@runtime_checkable
class WritableRecords(Records, Protocol):
    """Records that the client may change: ``upsert`` and ``delete`` write here first."""

    async def put(self, items: Sequence[Item]) -> Change:
        """Keep items, in the place of what has their ids. When it returns, they are safe."""

    async def remove(self, ids: Sequence[str]) -> Change:
        """Forget some; an id that is not there is no error."""


@runtime_checkable
class ResolvingRecords(Records, Protocol):
    """Records that find ids by their keys, so that the client need not hold a table of them: for many millions."""

    async def resolve(self, keys: Sequence[UUID]) -> Mapping[UUID, str]:
        """The ids that have these keys, as :func:`~sengol_api.adapters.dvecdb.key_of` makes them."""


class InMemoryRecords:
    """Records in this process: for programs whose vectors come from somewhere else each time they start.

    Args:
        ids: one per vector.
        vectors: shape (n, dimension).
        embedder: model and version that made them.
        metadata: facts about each, by id.
        version: of the contents; made from the contents when it is not given.

    Raises:
        InvalidVector: a vector of another dimension, or not finite.
        ValueError: not as many ids as vectors, or an id twice.
    """

    def __init__(
        self,
        ids: Sequence[str],
        vectors: ArrayLike,
        *,
        embedder: str,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        version: str | None = None,
    ) -> None:
        shape = np.shape(vectors)
        if len(shape) != 2:
            raise InvalidVector(f"Vectors must be an array of shape (n, dimension), this one has {len(shape)} dimensions.")
        rows = unit_rows(vectors, shape[1])
        if len(ids) != len(rows) or len(set(ids)) != len(ids):
            raise ValueError(f"{len(ids)} ids, {len(set(ids))} of them different, for {len(rows)} vectors")
        self.embedder = embedder
        self._dimension = shape[1]
        self._rows = dict(zip(ids, rows, strict=True))
        self._metadata = {key: facts for key, facts in (metadata or {}).items() if key in self._rows}
        self._version = version or _digest("", ids, rows, self._metadata)

    async def version(self) -> str:
        """See the protocol."""
        return self._version

    async def count(self) -> int:
        """See the protocol."""
        return len(self._rows)

    async def batches(self, size: int) -> AsyncIterator[Batch]:
        """See the protocol."""
        ids = list(self._rows)
        for start in range(0, len(ids), size):
            part = [key for key in ids[start : start + size] if key in self._rows]
            if part:
                yield Batch(part, np.stack([self._rows[key] for key in part]))

    async def metadata(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """See the protocol."""
        return {key: self._metadata.get(key, {}) for key in ids if key in self._rows}

    async def put(self, items: Sequence[Item]) -> Change:
        """See the protocol. Raises :class:`InvalidVector` before anything is kept."""
        rows = [unit_row(item.vector, self._dimension) for item in items]
        for item, row in zip(items, rows, strict=True):
            self._rows[item.id] = row
            self._metadata[item.id] = dict(item.metadata)
        return self._changed(_digest("put", [item.id for item in items], rows, {item.id: item.metadata for item in items}))

    async def remove(self, ids: Sequence[str]) -> Change:
        """See the protocol."""
        for key in ids:
            self._rows.pop(key, None)
            self._metadata.pop(key, None)
        return self._changed(_digest("remove", ids, [], {}))

    def _changed(self, what: str) -> Change:
        before, self._version = self._version, hashlib.sha256(f"{self._version} {what}".encode()).hexdigest()[:32]
        return Change(before, self._version)


def _digest(verb: str, ids: Sequence[str], rows: Iterable[Rows], metadata: Mapping[str, Mapping[str, Any]]) -> str:
    """Of contents, or of a change: the same in every process that has the same."""
    digest = hashlib.sha256(verb.encode())
    for key in ids:
        digest.update(f"\n{len(key)} {key}".encode("utf-8", "surrogatepass"))
    for row in rows:
        digest.update(np.ascontiguousarray(row, dtype="<f4").tobytes())
    digest.update(repr([(key, sorted(metadata[key].items(), key=repr)) for key in ids if key in metadata]).encode())
    return digest.hexdigest()[:32]
