"""Finding or filling the collection for a state of the records.

Replicas that work at once do no harm, and seldom the same work: whoever finds a half-filled collection that grows without it waits
for it; one that stopped growing is filled up by whoever finds it. All insert the same vectors under the same keys, in one order.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np

from sengol_api.adapters.dvecdb.errors import CollectionExists, CollectionMissing, InvalidVector
from sengol_api.adapters.dvecdb.keys import SCAN
from sengol_api.adapters.dvecdb.names import Name, Names, key_of
from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.dvecdb.pace import Pace
from sengol_api.adapters.dvecdb.protocol import Rest, configuration, most_per_insert
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.vectors import Rows, unit_rows
from sengol_api.resilience import Clock, Pipeline

WATCH: Final = 1.0
"""Seconds between two looks at a collection that another replica fills."""
STALLED: Final = 5.0
"""Seconds without growth after which it is filled by us."""


class RecordsMoved(Exception):
    """The records changed while the index was built, by others than this client."""


class Builder:
    """Makes the collections of one index.

    Args:
        rest: the server.
        line: the pipeline for everything that is no search.
        records: what the collections are made from.
        names: of the collections.
        options: of the client.
        clock: whose time counts.
        on_progress: is told how many vectors of a collection are there.
    """

    def __init__(
        self,
        rest: Rest,
        line: Pipeline,
        records: Records,
        names: Names,
        options: DvecdbOptions,
        *,
        clock: Clock,
        on_progress: Callable[[int], None],
    ) -> None:
        self._rest = rest
        self._line = line
        self._records = records
        self._names = names
        self._dimension = options.dimension
        self._clock = clock
        self._on_progress = on_progress
        self._pace = Pace(min(options.insert_batch, most_per_insert(options.dimension)), options.insert_time, options.insert_pause)
        self._begun: set[Name] = set()
        self._spoilt: set[Name] = set()

    async def find(self, version: str, count: int) -> tuple[Name | None, Name | None, int]:
        """What the server has for a state of the records.

        Args:
            version: of the records.
            count: how many they are.

        Returns:
            a complete collection, or None; the one that is filled most, or None; and how many vectors that one has.
        """
        names, changed = self._names.ours(await self._line.call(self._rest.collections))
        fingerprint = self._names.fingerprint(version)
        partial: list[tuple[int, Name]] = []
        for name in sorted(set(names) - changed - self._spoilt):
            if name.fingerprint != fingerprint:
                continue
            have = await self.count(name)
            if have == count:
                return name, None, 0
            if have is not None and have < count:
                partial.append((-have, name))
        if not partial:
            return None, None, 0
        have, name = min(partial)
        return None, name, -have

    async def begin(self, version: str, count: int) -> tuple[Name, int]:
        """Make a new collection, unless somebody else has begun one at the same time.

        Returns:
            the collection to be filled, and how many vectors it has.
        """
        made = self._names.new(version, self._clock.wall())
        with suppress(CollectionExists):  # made by our own first attempt, whose answer was lost
            await self._line.call(self._rest.create, str(made), self._dimension)
        self._begun.add(made)
        complete, fullest, have = await self.find(version, count)
        chosen = complete or fullest or made
        if chosen != made:
            await self.drop(str(made))
        return chosen, count if complete else have

    async def watch(self, name: Name, have: int, count: int) -> int:
        """Wait for a collection that another replica may be filling, until it is full or has stopped growing.

        Returns:
            how many vectors it has.
        """
        if name in self._begun:  # by us, and nobody else was there then
            return have
        grown_at = self._clock.now()
        while have < count and self._clock.now() - grown_at < STALLED:
            await self._clock.sleep(WATCH)
            now = await self.count(name)
            if now is None:
                raise CollectionMissing("d-vecDB does not have the collection any more.")
            if now != have:
                have, grown_at = now, self._clock.now()
                self._on_progress(have)
        self._begun.add(name)
        return have

    async def fill(self, name: Name, done: int, still_wanted: Callable[[], Awaitable[bool]]) -> None:
        """Insert the records, from the ``done``-th on.

        Raises:
            RecordsMoved: they are not ``still_wanted``.
        """
        skip = done
        async for batch in self._records.batches(SCAN):
            ids, vectors = batch.ids[skip:], batch.vectors[skip:]
            skip = max(0, skip - len(batch.ids))
            if not ids:
                continue
            if not await still_wanted():
                raise RecordsMoved
            await self.insert(str(name), list(ids), self._checked(ids, vectors), at=done)
            done += len(ids)

    def _checked(self, ids: Sequence[str], vectors: Rows) -> Rows:
        try:
            return unit_rows(vectors, self._dimension)
        except InvalidVector as error:
            bad = next((key for key, row in zip(ids, vectors, strict=False) if not np.isfinite(row).all()), ids[0])
            raise InvalidVector(f"The record {bad!r} cannot be in the index: {error}") from error

    async def insert(self, collection: str, ids: list[str], rows: Rows, *, at: int | None = None) -> None:
        """Insert vectors of length one, batch by batch, with pauses.

        Args:
            collection: where.
            ids: one per row.
            rows: shape (n, dimension).
            at: how many are there, when that is to be told.
        """
        start = 0
        while start < len(ids):
            end = start + self._pace.size
            began = self._clock.now()
            await self._line.call(self._rest.insert, collection, [key_of(each) for each in ids[start:end]], rows[start:end])
            start = end
            if at is not None:
                self._on_progress(at + min(start, len(ids)))
            await self._clock.sleep(self._pace.took(self._clock.now() - began))

    async def count(self, name: Name) -> int | None:
        """How many vectors a collection has; None when it is not there, or not as ours are."""
        try:
            described: Any = await self._line.call(self._rest.describe, str(name))
        except CollectionMissing:
            return None
        made, have = described
        return int(have) if made == configuration(self._dimension) else None

    def spoil(self, name: Name) -> None:
        """Never take this collection again: its count will not come right."""
        self._spoilt.add(name)

    async def drop(self, collection: str) -> None:
        """Remove a collection, if it is there."""
        with suppress(CollectionMissing):
            await self._line.call(self._rest.drop, collection)
