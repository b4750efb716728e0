"""Changes of the records through the client: in the store of record first, then in the index."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from sengol_api.adapters.dvecdb.journal import Edit
from sengol_api.adapters.dvecdb.keeper import Keeper
from sengol_api.adapters.dvecdb.records import Change, Item, Records, WritableRecords
from sengol_api.adapters.dvecdb.results import Written
from sengol_api.adapters.dvecdb.vectors import Rows, unit_row
from sengol_api.resilience import remaining

Given: TypeAlias = Item | tuple[str, ArrayLike] | tuple[str, ArrayLike, Mapping[str, Any]]


class Writes:
    """Writes to the records, and tells the keeper of the index.

    Args:
        records: the store of record.
        keeper: of the index.
        dimension: of the vectors.
    """

    def __init__(self, records: Records, keeper: Keeper, dimension: int) -> None:
        self._records = records
        self._keeper = keeper
        self._dimension = dimension

    async def upsert(self, items: Iterable[Given]) -> Written:
        """See the client."""
        records = self._writable()
        given = [Item(*item) for item in items]
        rows = [unit_row(item.vector, self._dimension) for item in given]
        if not given:
            return Written(0, indexed=True)
        change = await records.put(given)
        return Written(
            len(given), indexed=await self._indexed(change, dict(zip([item.id for item in given], rows, strict=True)), ())
        )

    async def delete(self, ids: Iterable[str]) -> Written:
        """See the client."""
        records = self._writable()
        gone = list(dict.fromkeys(ids))
        if not gone:
            return Written(0, indexed=True)
        change = await records.remove(gone)
        return Written(len(gone), indexed=await self._indexed(change, {}, gone))

    def _writable(self) -> WritableRecords:
        if not isinstance(self._records, WritableRecords):
            raise TypeError(
                "these records cannot be written through the client: change them where they are kept, then call refresh()"
            )
        return self._records

    async def _indexed(self, change: Change, put: Mapping[str, Rows], removed: Sequence[str]) -> bool:
        edit = Edit(change.before, change.after, put, removed)
        self._keeper.changed(edit)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(edit.indexed), remaining())
        except TimeoutError:  # the caller's time is over, and the record is safe
            return False
