"""The client of d-vecDB: searches that are right, over a server that forgets, answers worst-first and ignores filters."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import httpx2
from numpy.typing import ArrayLike

from sengol_api.adapters.dvecdb.exact import ExactSearch
from sengol_api.adapters.dvecdb.filters import Filter
from sengol_api.adapters.dvecdb.health import health_status
from sengol_api.adapters.dvecdb.http import Http
from sengol_api.adapters.dvecdb.keeper import Keeper
from sengol_api.adapters.dvecdb.lines import CACHE, Lines
from sengol_api.adapters.dvecdb.names import Names
from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.dvecdb.protocol import Rest
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.results import SearchResult, Written
from sengol_api.adapters.dvecdb.search import Search
from sengol_api.adapters.dvecdb.searching import Searching
from sengol_api.adapters.dvecdb.sharing import Call
from sengol_api.adapters.dvecdb.statistics import Statistics
from sengol_api.adapters.dvecdb.texts import Texts
from sengol_api.adapters.dvecdb.writes import Given, Writes
from sengol_api.resilience import Cache, Clock, Pipeline, Registry, Timeout
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.review.ports import Embedder, Hit, VectorIndex

READY_POLL = 0.05
SPARE_CONNECTIONS = 4


class DvecdbClient:
    """Searches in d-vecDB by vectors and texts. The records are kept elsewhere; the index in the server is built from them.

    ::

        async with DvecdbClient(DvecdbOptions(dimension=256), records=records, embed=embedder) as client:
            await client.ready()
            results = await client.search_by_text("patients' records in a chatbot", {"severity": "high"}, 10)

    One client serves a whole process, any number of tasks, and one event loop after the other. Inside ``async with``, or from the
    first call on, a task keeps the index what the records are, until :meth:`close`.

    Args:
        options: where the server is, and how to deal with it.
        records: the store of record.
        embed: makes vectors of texts; the one that made those of the records. None: no searches by text.
        cache: options of the cache of searches, with a second tier if there is one; None for no cache.
        exact: an index of the same vectors in this process, for what the server cannot answer; None: the records are scanned.
        registry: where the pipelines are entered.
        clock: whose time counts.
        name: of the pipelines.
        transport: of httpx2, instead of connections of its own.

    Raises:
        ValueError: the embedder is not the one of the records, or has another dimension.
        OptionsError: the registry has pipelines of that name.

    Attributes:
        pipeline: name of the one that has the circuit breaker.
    """

    def __init__(
        self,
        options: DvecdbOptions,
        *,
        records: Records,
        embed: Embedder | None = None,
        cache: Cache | None = CACHE,
        exact: VectorIndex | None = None,
        registry: Registry | None = None,
        clock: Clock = SYSTEM_CLOCK,
        name: str = "dvecdb",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.options = options
        texts = Texts(embed, records.embedder, options.dimension)
        self._clock = clock
        self._http = Http(options.host, options.port, connections=options.max_concurrent + SPARE_CONNECTIONS, transport=transport)
        self._rest = Rest(self._http)
        self._lines = Lines(options, cache, name=name, clock=clock, registry=Registry() if registry is None else registry)
        names = Names(options.collection, records.embedder, options.dimension)
        self._keeper = Keeper(self._rest, self._lines.writes, records, names, options, clock=clock)
        self._writes = Writes(records, self._keeper, options.dimension)
        self._statistics = Statistics()
        search = Search(
            self._rest,
            self._keeper,
            records,
            ExactSearch(records, exact),
            most=options.max_candidates,
            statistics=self._statistics,
        )
        self._searching = Searching(
            search, self._keeper, records, texts, options, cache=self._lines.cache, statistics=self._statistics, clock=clock
        )
        self.pipeline = name
        self._probe = Pipeline(f"{name}.health", Timeout(options.health_timeout), clock=clock)
        self._response_time: float | None = None

    # Searches -------------------------------------------------------------------------------------------------------

    async def search_by_vector(
        self,
        vector: ArrayLike,
        limit: int = 10,
        filter: Filter = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt
        max_retries: int | None = None,
        skip_cache: bool = False,
    ) -> list[SearchResult]:
        """The nearest records to a vector, best first.

        Args:
            vector: numbers, shape (dimension,); its length does not matter.
            limit: at most so many.
            filter: which records may be found; see :data:`Filter`.
            timeout: seconds per attempt, instead of the option.
            max_retries: further attempts, instead of the option.
            skip_cache: ask the server, whatever is kept.

        Raises:
            InvalidVector: another dimension, or a value that is not finite.
            ValueError: a filter, a time or a number that is none.
            IndexNotReady: the index is being built, or the server was not reached yet.
            DvecdbError: the server did not serve.
            CircuitBreakerError: it is not asked now.
            TimeoutError: the caller's deadline is over.
        """
        return await self._searching.by_vector(vector, limit, filter, self._call(timeout, max_retries, skip_cache))

    async def search_by_text(
        self,
        query: str,
        filter: Filter = None,
        limit: int = 10,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt
        max_retries: int | None = None,
        skip_cache: bool = False,
    ) -> list[SearchResult]:
        """The nearest records to a text, best first. Arguments and errors are those of :meth:`search_by_vector`.

        Raises:
            TypeError: the client was given no embedder.
            EmbeddingFailed: the embedder had no vector.
        """
        return await self._searching.by_text(query, limit, filter, self._call(timeout, max_retries, skip_cache))

    async def batch_search_by_text(
        self,
        queries: Sequence[str],
        filter: Filter = None,
        limit: int = 10,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt
        max_retries: int | None = None,
        skip_cache: bool = False,
    ) -> list[list[SearchResult] | Exception]:
        """The nearest records to each of several texts: their results, or the error of that search. Never raises for one of them.

        All texts whose answers are not kept are embedded in one call.

        Returns:
            one entry per query, in their order.
        """
        return await self._searching.by_texts(queries, limit, filter, self._call(timeout, max_retries, skip_cache))

    async def search_many(
        self,
        vectors: ArrayLike,
        limit: int,
        filter: Filter = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - of each attempt
        max_retries: int | None = None,
        skip_cache: bool = False,
    ) -> list[list[Hit]]:
        """The nearest records to each of several vectors, without their facts; all of them, or the first error.

        A :func:`cache_outcome` around it learns of the worst: one stale answer among many makes all of them stale.

        Args:
            vectors: shape (n, dimension).
            limit: at most so many for each.
            filter: as for :meth:`search_by_vector`, whose other arguments and errors are the same.
            timeout: likewise.
            max_retries: likewise.
            skip_cache: likewise.
        """
        return await self._searching.many(vectors, limit, filter, self._call(timeout, max_retries, skip_cache))

    def _call(self, timeout: float | None, max_retries: int | None, skip_cache: bool) -> Call:  # noqa: FBT001 - as it is given
        return Call(self._lines.reads_for(timeout, max_retries), skip_cache)

    # Writes ---------------------------------------------------------------------------------------------------------

    async def upsert(self, items: Iterable[Given]) -> Written:
        """Keep records, in the place of what has their ids: in the store of record first, then in the index.

        Args:
            items: id, vector, and facts if there are any.

        Returns:
            how many are safe, and whether the index has them already. It has not while it is being built, or when the server did
            not take them; then they come with the build.

        Raises:
            TypeError: the records cannot be written through the client; change them, and call :meth:`refresh`.
            InvalidVector: nothing was written.
            Exception: what the records raised.
        """
        return await self._writes.upsert(items)

    async def delete(self, ids: Iterable[str]) -> Written:
        """Forget records: in the store of record first, then in the index. Returns and raises as :meth:`upsert` does."""
        return await self._writes.delete(ids)

    def refresh(self) -> None:
        """Look at the records now, after they were changed by others than this client."""
        self._keeper.start()
        self._keeper.look_now()

    # Health ---------------------------------------------------------------------------------------------------------

    async def health_check(self) -> bool:
        """Whether the server answers that it is well, past the circuit breaker and within its own time limit. Never raises."""
        began = self._clock.now()
        try:
            await self._probe.call(self._rest.health)
        except Exception:  # noqa: BLE001 - whatever it is, the server is not well
            self._response_time = None
            return False
        self._response_time = self._clock.now() - began
        return True

    def get_health_status(self) -> dict[str, Any]:
        """How things stand, without a request: status, response time of the last check, breaker, index, rebuild, statistics."""
        return health_status(self._keeper, self._lines, self._statistics, self._response_time)

    # Life -----------------------------------------------------------------------------------------------------------

    async def ready(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - it is what is waited for
        """Wait until the index serves; False when it does not within ``timeout`` seconds."""
        self._keeper.start()
        end = None if timeout is None else self._clock.now() + timeout
        while self._keeper.serving is None:
            if end is not None and self._clock.now() >= end:
                return False
            await self._clock.sleep(READY_POLL)
        return True

    async def close(self) -> None:
        """End the task and the connections. What was built stays in the server. A later call starts again."""
        await self._keeper.stop()
        await self._http.close()
        self._lines.leave()

    async def __aenter__(self) -> Self:
        self._lines.enter()
        self._keeper.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        options = self.options
        return f"DvecdbClient({options.host}:{options.port}, collection={options.collection!r}, dimension={options.dimension})"
