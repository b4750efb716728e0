"""Searching here, exactly, what the server cannot answer."""

import asyncio

import numpy as np

from sengol_api.adapters.dvecdb.filters import Condition
from sengol_api.adapters.dvecdb.keys import SCAN
from sengol_api.adapters.dvecdb.lines import Found
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.vectors import Rows, unit_rows
from sengol_api.review.ports import VectorIndex


class ExactSearch:
    """All records, one product each.

    Args:
        records: the store of record.
        index: of the same vectors in this process, asked instead of the records where it can answer; None for none.
    """

    def __init__(self, records: Records, index: VectorIndex | None) -> None:
        self._records = records
        self._index = index

    async def nearest(self, row: Rows, limit: int, condition: Condition) -> Found:
        """The nearest records, by distance and id.

        Args:
            row: of length one, or of noughts, shape (dimension,).
            limit: at most so many.
            condition: which may be found.
        """
        if self._index is not None and not condition.wanted:
            (hits,) = await self._index.search(row[None, :], limit, condition.allowed)
            return tuple((hit.id, 1.0 - hit.score) for hit in hits)
        best: list[tuple[float, str]] = []
        async for batch in self._records.batches(SCAN):
            ids = batch.ids
            distances = (np.float32(1.0) - unit_rows(batch.vectors, len(row)) @ row).tolist()
            admitted = await condition.admitted(ids, self._records)
            near = [(distance, key) for distance, key, fits in zip(distances, ids, admitted, strict=True) if fits]
            best = sorted([*best, *near])[:limit]
            await asyncio.sleep(0)  # others have work to do as well
        return tuple((key, distance) for distance, key in best)
