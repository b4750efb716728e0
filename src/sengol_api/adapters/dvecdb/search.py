"""One search in the server's index, made right: wide enough, sorted, filtered, and checked for what is missing."""

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, TypeAlias

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

LEAST: Final = 100
WIDTH: Final = 4
SPARE: Final = 2
"""How many candidates are asked for: at least 100, four for each hit, and two for each rank that the last hit has among them. What
the graph overlooks are mostly the last of its candidates. ``bench/clients_dvecdb.py`` measures what that finds."""

_by_distance = attrgetter("distance")
_Fit: TypeAlias = tuple[int, float, str]
"""A hit that fits: its rank among all candidates, its distance, its id."""


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
        width = _first_width(limit, condition, serving)
        while width <= self._most:
            hits = await self._ask(serving, row, width, line)
            if len(hits) < width:
                return await self._here("short", row, limit, condition)
            found = await self._fitting(hits, limit, condition, serving)
            wanted = _wider(found, limit, width)
            if wanted <= width or width >= serving.count:
                return tuple((key, distance) for _, distance, key in found[:limit])
            width = min(serving.count, wanted)
        return await self._here("filter", row, limit, condition)

    async def _ask(self, serving: Serving, row: Rows, width: int, line: Pipeline) -> list[RawHit]:
        """Hits with a distance that is one."""
        try:
            hits: list[RawHit] = await line.call(self._send, serving.collection, search_body(row, width), width)
        except CollectionMissing as error:
            raise self._keeper.lost(serving) from error
        return [hit for hit in hits if hit.distance is not None]

    async def _send(self, collection: str, body: bytes, width: int) -> list[RawHit]:
        self._statistics.requests += 1
        count_call()
        return await self._rest.search(collection, body, width)

    async def _fitting(self, hits: list[RawHit], limit: int, condition: Condition, serving: Serving) -> list[_Fit]:
        """Those that belong to a record and are let through, nearest first; where all are, no more than are wanted."""
        hits.sort(key=_by_distance)
        looked_at = _first(hits, limit) if condition.admits_all else hits
        ids = await serving.book.ids([hit.id for hit in looked_at])
        if None in ids:  # somebody else wrote there
            self._statistics.unknown += ids.count(None)
            self._keeper.look_now()
        if None in ids or len(set(ids)) < len(ids):  # some do not count: the next ones are wanted as well
            looked_at = hits
            ids = await serving.book.ids([hit.id for hit in hits])
        nearest: dict[str, float] = {}
        for hit, key in zip(looked_at, ids, strict=True):
            if key is not None:  # an insert that was sent twice can be in the graph twice
                nearest.setdefault(key, _clamped(hit.distance))
        known = sorted((distance, key) for key, distance in nearest.items())
        if condition.admits_all:
            return [(rank, *each) for rank, each in enumerate(known, start=1)]
        admitted = await condition.admitted([key for _, key in known], self._records)
        return [(rank, *each) for rank, (each, fits) in enumerate(zip(known, admitted, strict=True), start=1) if fits]

    async def _here(self, why: str, row: Rows, limit: int, condition: Condition) -> Found:
        self._statistics.exact[why] += 1
        return await self._exact.nearest(row, limit, condition)


def _first_width(limit: int, condition: Condition, serving: Serving) -> int:
    share = 1.0 if condition.allowed is None else max(1, len(condition.allowed)) / serving.count
    return min(serving.count, max(LEAST, WIDTH * limit, math.ceil(SPARE * limit / share)))


def _wider(found: Sequence[_Fit], limit: int, width: int) -> int:
    """How many candidates it takes, going by those that fit among the first ones."""
    if len(found) >= limit:
        return SPARE * found[limit - 1][0]
    return max(2 * width, math.ceil(SPARE * limit * width / max(1, len(found))))


def _first(hits: list[RawHit], limit: int) -> list[RawHit]:
    """The nearest of sorted hits, with all that are as far as the last of them: which of those are shown, their ids decide."""
    end = limit
    while 0 < end < len(hits) and hits[end].distance == hits[limit - 1].distance:
        end += 1
    return hits[:end]


def _clamped(distance: float | None) -> float:
    return min(2.0, max(0.0, distance or 0.0))
