"""Searches by texts: by the embedder of the records, many by one call, each with a result or an error of its own."""

import asyncio

import pytest

from sengol_api.adapters.dvecdb import DvecdbClient, EmbeddingFailed, IndexRebuilding, SearchResult, ServerUnavailable
from sengol_api.adapters.dvecdb.lines import CACHE
from sengol_api.resilience import CacheSource, CircuitBreaker, cache_outcome
from sengol_api.review.errors import LLMError
from support.dvecdb.clients import Words, exact, ids_of, options_for, records_of, unit, virtually
from support.dvecdb.in_memory import refusing

IDS, VECTORS = ids_of(40), unit(40)
TEXTS = ["first", "second", "third", "fourth"]


def right(text, limit=3):
    return exact(VECTORS, Words.vector(text), IDS, limit)


def test_a_text_finds_what_its_vector_finds():
    async def work(s):
        results = await s.client.search_by_text("first", {"group": [1, 2, 3]}, 3)
        assert [r.id for r in results] == exact(VECTORS, Words.vector("first"), IDS, 3, lambda key: int(key[4:]) % 7 in {1, 2, 3})

    virtually(work)


def test_a_batch_is_embedded_by_one_call_and_answered_in_its_order():
    async def work(s):
        answers = await s.client.batch_search_by_text([*TEXTS, "first"], None, 3)
        assert [[r.id for r in answer] for answer in answers] == [right(text) for text in [*TEXTS, "first"]]
        assert s.embedder.calls == [TEXTS]

    virtually(work)


def test_a_batch_of_nothing_is_nothing():
    async def work(s):
        assert await s.client.batch_search_by_text([]) == []
        assert s.embedder.calls == []

    virtually(work)


def test_only_texts_whose_answers_are_not_kept_are_embedded():
    async def work(s):
        await s.client.batch_search_by_text(TEXTS[:2], None, 3)
        await s.client.batch_search_by_text(TEXTS, None, 3)
        assert s.embedder.calls == [TEXTS[:2], TEXTS[2:]]
        await s.client.search_by_text(TEXTS[3], None, 3)
        assert len(s.embedder.calls) == 2
        await s.client.batch_search_by_text(TEXTS[:1], None, 3, skip_cache=True)
        assert s.embedder.calls[2:] == [TEXTS[:1]]

    virtually(work, cache=CACHE)


def test_of_a_batch_each_query_has_its_results_or_its_own_error_and_never_an_empty_list_for_one():
    async def work(s):
        turn = iter(range(100))

        async def every_other(request):
            if request.path.endswith("/search") and next(turn) % 2 == 1:
                await refusing(request)

        s.server.fault = every_other
        answers = await s.client.batch_search_by_text(TEXTS, None, 3, max_retries=0)
        kinds = [type(answer) for answer in answers]
        assert sorted(map(str, kinds)) == sorted(map(str, [list, list, ServerUnavailable, ServerUnavailable]))
        for text, answer in zip(TEXTS, answers, strict=True):
            assert isinstance(answer, ServerUnavailable) or [r.id for r in answer] == right(text)

    virtually(work, options={"batch_concurrency": 1})


def test_a_batch_while_the_index_is_built_has_that_for_every_answer():
    async def work(s):
        s.server.server.restart()
        s.server.seconds = 2.0
        answers = await s.client.batch_search_by_text(TEXTS)
        assert all(isinstance(answer, IndexRebuilding) for answer in answers)

    virtually(work)


def test_a_batch_keeps_to_its_concurrency():
    async def work(s):
        s.server.seconds, s.server.most = 0.1, 0
        await s.client.batch_search_by_text([f"text {n}" for n in range(30)])
        assert s.server.most == 4

    virtually(work, options={"batch_concurrency": 4})


def test_a_cancelled_batch_leaves_nothing_running():
    async def work(s):
        s.server.seconds = 5.0
        task = asyncio.create_task(s.client.batch_search_by_text(TEXTS))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert s.server.running == 0

    virtually(work)


@pytest.mark.parametrize(
    ("error", "says", "wait"),
    [
        (LLMError("The model's quota is used up.", retry_after=30.0), "The model's quota is used up", 30.0),
        (ConnectionRefusedError("10.0.0.1"), "it cannot be reached", None),
        (ValueError("secret words"), "it failed", None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_embedder_that_fails_is_told_apart_from_d_vecdb(error, says, wait):
    async def work(s):
        s.embedder.error = error
        with pytest.raises(EmbeddingFailed, match=says) as caught:
            await s.client.search_by_text("first")
        assert caught.value.__cause__ is error
        assert caught.value.retry_after == wait
        assert "secret" not in str(caught.value)
        answers = await s.client.batch_search_by_text(TEXTS)
        assert all(isinstance(answer, EmbeddingFailed) for answer in answers)
        assert len(s.embedder.calls) == 2
        assert s.client.get_health_status()["circuitBreaker"]["failureCount"] == 0

    virtually(work, options={"breaker": CircuitBreaker()})


def test_an_old_answer_serves_when_the_embedder_fails():
    async def work(s):
        fresh = await s.client.search_by_text("first", None, 3)
        await s.loop.sleep(3601)
        s.embedder.error = ConnectionRefusedError()
        with cache_outcome() as outcome:
            assert await s.client.search_by_text("first", None, 3) == fresh
        assert outcome.source is CacheSource.STALE
        first, second = await s.client.batch_search_by_text(["first", "second"], None, 3)
        assert first == fresh
        assert isinstance(second, EmbeddingFailed)

    virtually(work, cache=CACHE)


class Miscounting(Words):
    """Gives one vector too few."""

    async def embed(self, texts):
        """See the port."""
        return (await super().embed([*texts, "more"]))[: len(texts) - 1]


class Infinite(Words):
    """Gives vectors that are not finite."""

    async def embed(self, texts):
        """See the port."""
        return await super().embed(texts) * float("inf")


@pytest.mark.parametrize("embedder", [Miscounting(), Infinite()], ids=lambda each: type(each).__name__)
def test_vectors_of_an_embedder_are_checked(embedder):
    async def work(s):
        (answer, _) = await s.client.batch_search_by_text(["first", "second"])
        assert isinstance(answer, EmbeddingFailed)

    virtually(work, embed=embedder)


def test_another_embedder_than_that_of_the_records_is_refused():
    class Other(Words):
        name = "another"

    class Wider(Words):
        dimension = 9

    for wrong in (Other(), Wider()):
        with pytest.raises(ValueError, match="vectors of two embedders never meet"):
            DvecdbClient(options_for(), records=records_of(3), embed=wrong)


def test_without_an_embedder_there_are_no_searches_by_text():
    async def work(s):
        with pytest.raises(TypeError, match="no embedder"):
            await s.client.search_by_text("first")
        with pytest.raises(TypeError, match="no embedder"):
            await s.client.batch_search_by_text(["first"])
        assert isinstance((await s.client.search_by_vector(VECTORS[0]))[0], SearchResult)

    virtually(work, embed=None)
