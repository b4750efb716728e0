"""The ``VectorIndex`` over d-vecDB."""

from collections.abc import Sequence
from typing import Final

from sengol_api.adapters.dvecdb.client import DvecdbClient
from sengol_api.resilience import CacheSource, cache_outcome
from sengol_api.review.ports import Hit, VectorIndex, Vectors
from sengol_api.review.provenance import FRESH, note

SEARCH: Final = "search"


class DvecdbIndex:
    """Searches in d-vecDB; compares in this process. What stands below it when it raises is somebody else's.

    Args:
        client: of an index with the same vectors.
        embedded: the same vectors in this process.
    """

    def __init__(self, client: DvecdbClient, embedded: VectorIndex) -> None:
        self._client = client
        self._embedded = embedded

    def __len__(self) -> int:
        return len(self._embedded)

    async def search(self, queries: Vectors, limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """See the port.

        Raises:
            InvalidVector: (a ValueError) another dimension, or a value that is not finite.
            VectorDBError: d-vecDB did not serve, or has no complete index now.
            CircuitBreakerError: d-vecDB is not asked now.
            TimeoutError: the caller's deadline is over.
        """
        with cache_outcome() as outcome:
            found = await self._client.search_many(queries, limit, allowed)
        if outcome.source is CacheSource.STALE:
            note(SEARCH, "stale", "d-vecDB did not answer, what it had answered before is shown")
        else:
            note(SEARCH, "cached" if outcome.source is CacheSource.FRESH else FRESH)
        return found

    async def compare(self, queries: Vectors, ids: Sequence[Sequence[str]]) -> list[list[float]]:
        """See the port."""
        return await self._embedded.compare(queries, ids)
