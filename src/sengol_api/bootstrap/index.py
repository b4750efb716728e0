"""Where vectors are searched, from the settings."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from sengol_api.adapters.dvecdb import Batch, DvecdbClient, DvecdbIndex, DvecdbOptions, ping
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import LadderIndex
from sengol_api.adapters.pgvector.index import CONCURRENT, TIMEOUT, PgVectorIndex
from sengol_api.adapters.sql.engine import Database
from sengol_api.bootstrap.model import adaptive, breaker
from sengol_api.bootstrap.shared import Shared
from sengol_api.data_dir import StartError
from sengol_api.resilience import AdaptiveTimeout, Bulkhead, Cache, OptionsError, Registry, Timeout
from sengol_api.review.ports import Embedder, VectorIndex
from sengol_api.settings import Settings

DVECDB = "dvecdb"
PGVECTOR = "pgvector"
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


class Pgvector:
    """The index in PostgreSQL, what its searches go through, and how it is.

    The pipeline is there from the start, before any index: its breaker is shared by the replicas then, and a second try to make an
    index finds it.

    Args:
        settings: DATABASE_URL, ADAPTIVE_TIMEOUTS, CIRCUIT_BREAKER_*.
        database: the store of record.
        registry: where the pipeline is entered.
        stack: closes what is opened.
    """

    def __init__(self, settings: Settings, database: Database, registry: Registry, stack: AsyncExitStack) -> None:
        self._database = database
        following = adaptive(settings, OF_SEARCHES)
        followed = [] if following is None else [following.up_to(TIMEOUT)]
        self._pipeline = registry.pipeline(
            PGVECTOR, breaker(settings), Bulkhead(max_concurrent=CONCURRENT), Timeout(TIMEOUT), *followed
        )
        self._aside = Database(settings.database, connections=1)
        stack.push_async_callback(self._aside.close)
        self._index: PgVectorIndex | None = None

    async def open(self, embedder: Embedder) -> PgVectorIndex:
        """The index of an embedder's vectors, up to date with the store of record.

        Raises:
            VectorDBError: the database is no PostgreSQL with pgvector.
            DatabaseError: the database failed.
        """
        self._index = await PgVectorIndex.open(self._database, embedder, pipeline=self._pipeline)
        return self._index

    async def ping(self) -> None:
        """Ask it, over a connection of its own; before there is an index, the server.

        Raises:
            DatabaseError: it does not answer.
        """
        await (self._aside.ping() if self._index is None else self._index.ping(self._aside))

    def facts(self) -> dict[str, object]:
        """What it holds."""
        index = self._index
        return {"index": None if index is None else {"vectors": len(index), "dimension": index.dimension}}


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
        self.on_dvecdb = settings.vector_index == DVECDB
        self.pgvector = Pgvector(settings, database, registry, stack) if settings.vector_index == PGVECTOR else None

    async def make(self, embedder: Embedder, embedded: ExactIndex) -> VectorIndex:
        """The index of an embedder's vectors.

        Raises:
            StartError: the settings cannot be used.
        """
        if self._settings.vector_index == "embedded":
            return embedded
        if self.pgvector is not None:
            return LadderIndex(await self.pgvector.open(embedder), embedded)
        try:
            client = self._client(embedder, embedded)
        except OptionsError as error:
            raise StartError(f"DVECDB_*: {error}") from None
        self.dvecdb.append(await self._stack.enter_async_context(client))
        return LadderIndex(DvecdbIndex(client, embedded), embedded)

    async def ping_dvecdb(self) -> None:
        """Ask the server of DVECDB_HOST whether it is well, past every policy.

        Raises:
            Exception: it is not.
        """
        if not self.dvecdb:
            await ping(self._settings.dvecdb_host, self._settings.dvecdb_port)
        elif not await self.dvecdb[0].health_check():
            raise ConnectionError("d-vecDB does not answer")

    def dvecdb_facts(self) -> Mapping[str, object]:
        """How its index is."""
        if not self.dvecdb:
            return {"index": None}
        told = self.dvecdb[0].get_health_status()
        return {name: told[name] for name in ("index", "rebuild", "statistics")}

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
