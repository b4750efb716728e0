"""Searches as callers ask for them: by vectors and texts, one or many, kept and shared where they were asked before."""

from collections.abc import Sequence
from functools import partial

from numpy.typing import ArrayLike

from sengol_api.adapters.dvecdb.errors import translated
from sengol_api.adapters.dvecdb.filters import Filter, condition_of
from sengol_api.adapters.dvecdb.keeper import Keeper
from sengol_api.adapters.dvecdb.lines import Found
from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.dvecdb.parallel import in_parallel
from sengol_api.adapters.dvecdb.questions import Question, about_text, about_vector
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.results import SearchResult, hits_of, results_of
from sengol_api.adapters.dvecdb.search import Search
from sengol_api.adapters.dvecdb.sharing import Answers, Call, note_worst
from sengol_api.adapters.dvecdb.statistics import Statistics
from sengol_api.adapters.dvecdb.texts import Texts
from sengol_api.adapters.dvecdb.vectors import unit_row, unit_rows
from sengol_api.resilience import Clock, Pipeline, cache_outcome
from sengol_api.resilience.cache.scope import CacheOutcome
from sengol_api.review.ports import Hit


class Searching:
    """The searches of a client, whose methods say what they give and raise.

    Args:
        search: one search in the server.
        keeper: of the index.
        records: the store of record.
        texts: makes vectors of texts.
        options: of the client.
        cache: pipeline of the cache; None without one.
        statistics: counts.
        clock: whose time counts.
    """

    def __init__(
        self,
        search: Search,
        keeper: Keeper,
        records: Records,
        texts: Texts,
        options: DvecdbOptions,
        *,
        cache: Pipeline | None,
        statistics: Statistics,
        clock: Clock,
    ) -> None:
        self._search = search
        self._keeper = keeper
        self._records = records
        self._texts = texts
        self._dimension = options.dimension
        self._at_once = options.batch_concurrency
        self._index = f"{options.collection}\n{records.embedder}\n{options.dimension}"
        self._statistics = statistics
        self._answers = Answers(self._make, cache, clock=clock)

    async def by_vector(self, vector: ArrayLike, limit: int, filter: Filter, call: Call) -> list[SearchResult]:
        """The nearest to a vector."""
        return await self._results(about_vector(unit_row(vector, self._dimension), limit, condition_of(filter)), call)

    async def by_text(self, query: str, limit: int, filter: Filter, call: Call) -> list[SearchResult]:
        """The nearest to a text."""
        return await self._results(about_text(query, partial(self._texts.place, query), limit, condition_of(filter)), call)

    async def by_texts(
        self, queries: Sequence[str], limit: int, filter: Filter, call: Call
    ) -> list[list[SearchResult] | Exception]:
        """The nearest to each of several texts, or the error of that search."""
        condition, index = condition_of(filter), await self._index_now()
        questions = [about_text(query, partial(self._texts.place, query), limit, condition) for query in queries]
        wanted = dict.fromkeys(
            query
            for query, question in zip(queries, questions, strict=True)
            if call.skip_cache or self._answers.kept(question, index) is None
        )
        place = await self._texts.together(list(wanted))
        questions = [about_text(query, partial(place, query), limit, condition) for query in queries]

        async def one(question: Question) -> list[SearchResult] | Exception:
            try:
                return await self._results(question, call)
            except Exception as error:  # noqa: BLE001 - it is that query's answer
                return error

        return await in_parallel([partial(one, question) for question in questions], self._at_once)

    async def many(self, vectors: ArrayLike, limit: int, filter: Filter, call: Call) -> list[list[Hit]]:
        """The nearest to each of several vectors, without their facts; all of them, or the first error."""
        rows, condition = unit_rows(vectors, self._dimension), condition_of(filter)
        outcomes: list[CacheOutcome] = []

        async def one(question: Question) -> list[Hit]:
            with cache_outcome() as outcome:
                found = await self._found(question, call)
            outcomes.append(outcome)
            return hits_of(found)

        questions = [about_vector(row, limit, condition) for row in rows]
        answers = await in_parallel([partial(one, question) for question in questions], self._at_once)
        note_worst(outcomes)
        return answers

    async def _results(self, question: Question, call: Call) -> list[SearchResult]:
        return await results_of(await self._found(question, call), self._records)

    async def _found(self, question: Question, call: Call) -> Found:
        if question.limit <= 0:
            return ()
        self._keeper.start()
        self._statistics.searches += 1
        try:
            with translated():
                return await self._answers.get(question, await self._index_now(), call)
        except Exception:
            self._statistics.failures += 1
            raise

    async def _index_now(self) -> str:
        serving = self._keeper.serving
        return f"{self._index}\n{serving.version if serving else await self._records.version()}"

    async def _make(self, question: Question, line: Pipeline) -> Found:
        return await self._search.nearest(await question.place(), question.limit, question.condition, line)
