"""Where vectors are searched, from the settings."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from sengol_api.adapters.dvecdb import Batch, DvecdbClient, DvecdbIndex, DvecdbOptions
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import LadderIndex
from sengol_api.adapters.pgvector.index import CONCURRENT, TIMEOUT, PgVectorIndex
from sengol_api.adapters.sql.engine import Database
from sengol_api.bootstrap.model import adaptive, breaker
from sengol_api.bootstrap.shared import Shared
from sengol_api.data_dir import StartError
from sengol_api.resilience import AdaptiveTimeout, Bulkhead, Cache, OptionsError, Pipeline, Registry, Timeout
from sengol_api.review.ports import Embedder, VectorIndex
from sengol_api.settings import Settings

DVECDB = "dvecdb"
OF_SEARCHES: Final = AdaptiveTimeout(min_timeout=1.0)
"""A search takes milliseconds; a second is for a server that somebody else keeps busy for a moment."""


class EmbeddedRecords:
    """The vectors in this process, which are those of the database, as records for a server's index.

    Args:
        embedded: holds them.
        embedder: model and version that made them.
        version: of the corpus.
    """

    def __init__(self, embedded: ExactIndex, embedder: str, version: str) -> None:
        self.embedder = embedder
        self._embedded = embedded
        self._version = version

    async def version(self) -> str:
        """See the protocol."""
        return self._version

    async def count(self) -> int:
        """See the protocol."""
        return len(self._embedded)

    async def batches(self, size: int) -> AsyncIterator[Batch]:
        """See the protocol."""
        ids, vectors = self._embedded.ids, self._embedded.vectors
        for start in range(0, len(ids), size):
            yield Batch(ids[start : start + size], vectors[start : start + size])

    async def metadata(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """None: what is filtered by is known before the search."""
        return {key: {} for key in ids}


class Indexes:
    """Makes the index of each embedder on the server of VECTOR_INDEX, with the one in this process below it.

    Args:
        settings: VECTOR_INDEX, DVECDB_*, CACHE_*.
        database: the store of record, where pgvector is.
        corpus_version: of the vectors.
        registry: where the pipelines are entered.
        shared: what replicas share.
        stack: closes what is opened.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        corpus_version: str,
        registry: Registry,
        shared: Shared,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._database = database
        self._corpus_version = corpus_version
        self._registry = registry
        self._shared = shared
        self._stack = stack
        self.dvecdb: list[DvecdbClient] = []
        """The clients that are open, for health."""

    async def make(self, embedder: Embedder, embedded: ExactIndex) -> VectorIndex:
        """The index of an embedder's vectors.

        Raises:
            StartError: the settings cannot be used.
        """
        if self._settings.vector_index == "embedded":
            return embedded
        if self._settings.vector_index == "pgvector":
            return LadderIndex(await self._pgvector(embedder), embedded)
        try:
            client = self._client(embedder, embedded)
        except OptionsError as error:
            raise StartError(f"DVECDB_*: {error}") from None
        self.dvecdb.append(await self._stack.enter_async_context(client))
        return LadderIndex(DvecdbIndex(client, embedded), embedded)

    async def _pgvector(self, embedder: Embedder) -> VectorIndex:
        following = adaptive(self._settings, OF_SEARCHES)
        followed = [] if following is None else [following.up_to(TIMEOUT)]
        pipeline = Pipeline("pgvector", breaker(self._settings), Bulkhead(max_concurrent=CONCURRENT), Timeout(TIMEOUT), *followed)
        self._registry.add(pipeline)
        return await PgVectorIndex.open(self._database, embedder, pipeline=pipeline)

    def _client(self, embedder: Embedder, embedded: ExactIndex) -> DvecdbClient:
        settings = self._settings
        options = DvecdbOptions(
            host=settings.dvecdb_host,
            port=settings.dvecdb_port,
            collection=settings.dvecdb_collection,
            dimension=embedder.dimension,
            timeout=settings.dvecdb_timeout / 1000,
            max_retries=settings.dvecdb_max_retries,
            breaker=breaker(settings),
            adaptive=adaptive(settings, OF_SEARCHES),
        )
        cache = Cache(
            max_entries=settings.cache_max_size,
            max_bytes=settings.cache_bytes,
            ttl=float(settings.cache_ttl),
            stale_if_error=float(settings.cache_stale_ttl),
            tier=self._shared.tier,
        )
        version = f"{self._corpus_version}/{embedder.name}"
        return DvecdbClient(
            options,
            records=EmbeddedRecords(embedded, embedder.name, version),
            cache=cache if settings.cache_enabled else None,
            exact=embedded,
            registry=self._registry,
            name=DVECDB if not self.dvecdb else f"{DVECDB}.{embedder.name}",
        )
