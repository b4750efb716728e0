"""One look at the index, and all that follows from it: build it, bring changes along, sweep."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sengol_api.adapters.dvecdb.builder import Builder, RecordsMoved
from sengol_api.adapters.dvecdb.errors import CollectionExists, CollectionMissing, IndexRebuilding
from sengol_api.adapters.dvecdb.journal import Edit, Journal, merged
from sengol_api.adapters.dvecdb.keys import KeyTable, read_keys
from sengol_api.adapters.dvecdb.names import Name, Names, key_of
from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.dvecdb.protocol import Rest
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.state import Serving, Standing
from sengol_api.adapters.dvecdb.sweeper import Sweeper
from sengol_api.adapters.dvecdb.vectors import stacked
from sengol_api.resilience import Clock, Pipeline

AFTER_A_VAIN_BUILD: Final = 300.0
"""Seconds until the next one: records that contradict themselves shall not keep the server busy."""

_log = logging.getLogger(__name__)


class Tender:
    """Makes the index what the records are. Never called twice at once: there is one writer.

    Args:
        rest: the server.
        line: the pipeline for everything that is no search.
        records: the store of record.
        names: of the collections.
        options: of the client.
        standing: of the index.
        journal: changes that came through this client.
        clock: whose time counts.
    """

    def __init__(
        self,
        rest: Rest,
        line: Pipeline,
        records: Records,
        names: Names,
        options: DvecdbOptions,
        *,
        standing: Standing,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._rest = rest
        self._line = line
        self._records = records
        self._names = names
        self._standing = standing
        self._journal = journal
        self._builder = Builder(rest, line, records, names, options, clock=clock, on_progress=standing.filled)
        self._sweeper = Sweeper(self._builder.drop, after=options.drop_after, clock=clock)
        self._name: Name | None = None

    async def look(self) -> None:
        """See that the index serves what the records are.

        Raises:
            RecordsMoved: they changed meanwhile; look again.
            Exception: what the server, its pipeline or the records raised.
        """
        serving, version = self._standing.last, await self._records.version()
        if serving is not None and self._name is not None:
            edits = self._journal.between(serving.version, version)
            if edits is not None and await self._kept(serving, self._name, edits):
                await self._sweep()
                return
            self._standing.drop(serving)
            self._builder.spoil(self._name)  # whatever became of it, nobody shall trust it again
        await self._establish(version)

    async def _kept(self, serving: Serving, name: Name, edits: Sequence[Edit]) -> bool:
        """Whether the collection is what the records are, once these edits are made to it."""
        try:
            if edits:
                await self._apply(name, edits)
            current = await self._current(name, serving.version, edits, before=serving)
        except (CollectionMissing, RecordsMoved):
            return False
        except Exception:
            if edits:  # a part of them may have been made
                self._standing.pause(serving)
            raise
        if current is None or self._standing.last is None:  # not whole, or somebody has just found it gone
            return False
        self._standing.serve(current)
        self._journal.settle(current.version)
        return True

    async def _establish(self, version: str) -> None:
        count = await self._records.count()
        if count == 0:
            await self._serve(None, Serving("", version, 0, KeyTable([])))
            return
        complete, fullest, have = await self._builder.find(version, count)
        if complete is None:
            await self._build(version, count, fullest, have)
            return
        found = await self._current(complete, version, ())
        if found is None:
            raise RecordsMoved
        await self._serve(complete, found)

    async def _build(self, version: str, count: int, fullest: Name | None, have: int) -> None:
        _log.info("the index in d-vecDB is built from the records", extra={"done": have, "total": count})
        self._standing.begin_build(have, count)
        name, have = (fullest, have) if fullest is not None else await self._builder.begin(version, count)
        have = await self._builder.watch(name, have, count)
        self._standing.begin_filling(have)

        async def still_wanted() -> bool:
            return self._journal.between(version, await self._records.version()) is not None

        for skipped in dict.fromkeys((have, 0)):  # if the count does not come right, once more without leaving anything out
            if skipped < count:
                await self._builder.fill(name, skipped, still_wanted)
            edits = self._journal.between(version, await self._records.version())
            if edits is None:
                raise RecordsMoved
            if edits:
                await self._apply(name, edits)
            built = await self._current(name, version, edits)
            if built is not None:
                self._standing.built()
                await self._serve(name, built)
                return
        self._builder.spoil(name)
        await self._builder.drop(str(name))
        said = "The new index in d-vecDB has not as many vectors as the records say they have; it is built once more, later."
        raise IndexRebuilding(said, retry_after=AFTER_A_VAIN_BUILD)

    async def _current(self, name: Name, version: str, edits: Sequence[Edit], *, before: Serving | None = None) -> Serving | None:
        """The collection as something to serve from, if it has as many vectors as the records.

        Args:
            name: of the collection.
            version: of the records that it was made from.
            edits: that were made to it since.
            before: what served before these; None when nothing did.

        Raises:
            RecordsMoved: they are of another version by now.
            CollectionMissing: it is not there.
        """
        if edits:
            version = edits[-1].after
        have = await self._builder.count(name)
        count = await self._records.count()
        book = await read_keys(self._records) if before is None else before.book.changed(*merged(edits))
        if await self._records.version() != version:
            raise RecordsMoved
        if have is None:
            raise CollectionMissing("d-vecDB does not have the collection any more.")
        return Serving(str(name), version, count, book) if have == count else None

    async def _apply(self, name: Name, edits: Sequence[Edit]) -> None:
        """Make changes to a collection, which from then on is not what its name says."""
        with suppress(CollectionExists):
            await self._line.call(self._rest.create, name.mark, 1)
        put, removed = merged(edits)
        if put:
            await self._builder.insert(str(name), list(put), stacked(put.values()))
        for each in sorted(removed):
            await self._line.call(self._rest.remove, str(name), key_of(each))

    async def _serve(self, name: Name | None, serving: Serving) -> None:
        self._name = name
        self._standing.serve(serving)
        self._journal.settle(serving.version)
        _log.info("the index in d-vecDB serves", extra={"collection": serving.collection, "vectors": serving.count})
        await self._sweep()

    async def _sweep(self) -> None:
        names, marked = self._names.ours(await self._line.call(self._rest.collections))
        await self._sweeper.sweep(self._name, {*names, *marked})
