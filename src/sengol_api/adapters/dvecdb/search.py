"""One search in the server's index, made right: wide enough, sorted, filtered, and checked for what is missing."""

import math
from collections.abc import Sequence
from typing import Final

from sengol_api.adapters.dvecdb.errors import CollectionMissing
from sengol_api.adapters.dvecdb.exact import ExactSearch
from sengol_api.adapters.dvecdb.filters import Condition
from sengol_api.adapters.dvecdb.keeper import Keeper
from sengol_api.adapters.dvecdb.lines import Found
from sengol_api.adapters.dvecdb.protocol import RawHit, Rest, search_body
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.state import Serving
from sengol_api.adapters.dvecdb.statistics import Statistics
from sengol_api.adapters.dvecdb.vectors import Rows
from sengol_api.resilience import Pipeline
from sengol_api.review.provenance import count_call

WIDTH: Final = 4
LEAST: Final = 50
"""Candidates for k hits: max(4 k, 50). The graph finds each of the nearest k among so many with a probability of more than 0.99."""


class Search:
    """Searches of one index.

    Args:
        rest: the server.
        keeper: knows which collection to search in.
        records: facts for filters.
        exact: for what the server cannot answer.
        most: candidates to ask for.
        statistics: counts.
    """

    def __init__(
        self, rest: Rest, keeper: Keeper, records: Records, exact: ExactSearch, *, most: int, statistics: Statistics
    ) -> None:
        self._rest = rest
        self._keeper = keeper
        self._records = records
        self._exact = exact
        self._most = most
        self._statistics = statistics

    async def nearest(self, row: Rows, limit: int, condition: Condition, line: Pipeline) -> Found:
        """The nearest records, by distance and id.

        The server ignores filters, so more candidates are asked for until enough of them fit. Where that would take too many, or
        the server's graph has a hole, all records are compared here instead: that is exact, and quicker than a wide search.

        Args:
            row: of length one, or of noughts, shape (dimension,).
            limit: at most so many, at least 1.
            condition: which may be found.
            line: the pipeline of the requests.

        Raises:
            IndexNotReady: the server has nothing to search in, so far.
            DvecdbError: what a request raised; and what the pipeline does.
        """
        serving = await self._keeper.ready()
        if serving.count == 0:
            return ()
        if not row.any():  # all are equally far, and the first by id are the nearest
            return await self._here("zero", row, limit, condition)
        width = self._first_width(limit, condition, serving)
        while width <= self._most:
            hits = await self._ask(serving, row, width, line)
            if len(hits) < width:
                return await self._here("short", row, limit, condition)
            found = await self._fitting(hits, condition, serving)
            if len(found) >= limit or width >= serving.count:
                return tuple((key, distance) for distance, key in sorted(found)[:limit])
            width = min(serving.count, max(2 * width, math.ceil(1.5 * width * limit / max(1, len(found)))))
        return await self._here("filter", row, limit, condition)

    def _first_width(self, limit: int, condition: Condition, serving: Serving) -> int:
        width = max(WIDTH * limit, LEAST)
        if condition.allowed is not None:
            width = math.ceil(width * serving.count / max(1, len(condition.allowed)))
        return min(serving.count, max(width, LEAST))

    async def _ask(self, serving: Serving, row: Rows, width: int, line: Pipeline) -> list[RawHit]:
        """Hits with a distance that is one."""
        try:
            hits: list[RawHit] = await line.call(self._send, serving.collection, search_body(row, width), width)
        except CollectionMissing as error:
            raise self._keeper.lost(serving) from error
        return [hit for hit in hits if hit.distance is not None and math.isfinite(hit.distance)]

    async def _send(self, collection: str, body: bytes, width: int) -> list[RawHit]:
        self._statistics.requests += 1
        count_call()
        return await self._rest.search(collection, body, width)

    async def _fitting(self, hits: Sequence[RawHit], condition: Condition, serving: Serving) -> list[tuple[float, str]]:
        ids = await serving.book.ids([hit.id for hit in hits])
        known = [(min(2.0, max(0.0, hit.distance or 0.0)), key) for hit, key in zip(hits, ids, strict=True) if key is not None]
        if len(known) < len(hits):  # somebody else wrote there
            self._statistics.unknown += len(hits) - len(known)
            self._keeper.look_now()
        if condition.admits_all:
            return known
        admitted = await condition.admitted([key for _, key in known], self._records)
        return [each for each, fits in zip(known, admitted, strict=True) if fits]

    async def _here(self, why: str, row: Rows, limit: int, condition: Condition) -> Found:
        self._statistics.exact[why] += 1
        return await self._exact.nearest(row, limit, condition)
