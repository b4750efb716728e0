"""``VectorBuilder`` over SQLite and PostgreSQL: the vectors of another embedder, made in the background."""

import asyncio

import numpy as np
import pytest

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.sql.vector_builder import VectorBuilder, VectorProgress
from sengol_api.adapters.sql.vectors import SqlVectors
from sengol_api.resilience.testing import ManualClock
from sengol_api.review.errors import DatabaseError, LLMError
from support.builders import make_incident
from support.toys import NOON, BagOfWords

COUNT = 23


class Remote(BagOfWords):
    """An embedder that can fail: what ``before`` raises, it raises."""

    name, dimension = "remote", 32

    def __init__(self, before=lambda texts: None) -> None:
        super().__init__()
        self.before = before

    async def embed(self, texts):
        self.before(texts)
        return await super().embed(texts)

    @property
    def embedded(self) -> list[str]:
        return [text for call in self.calls for text in call]


@pytest.fixture
async def store(database) -> SqlIncidentStore:
    kept = SqlIncidentStore(database, BagOfWords(), now=lambda: NOON)
    await kept.put("own", [make_incident(f"inc-{n:02}") for n in range(COUNT)])
    return kept


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def building(database, embedder, clock, **options) -> VectorBuilder:
    """One that begins at the beginning, so that its first batch is a full one."""
    vectors = database if isinstance(database, SqlVectors) else SqlVectors(database)
    builder = VectorBuilder(vectors, embedder, clock=clock, **{"batch": 5, **options})
    builder._after = ""
    return builder


def failing(*errors):
    """Raises these, one a call, then nothing."""
    left = list(errors)

    def before(texts):
        if left:
            raise left.pop(0)

    return before


async def test_every_incident_gets_its_vector_in_batches_with_pauses_between(database, store, clock):
    embedder = Remote()
    builder = building(database, embedder, clock, pause=0.5)
    assert builder.progress == VectorProgress(0, 0)
    assert not builder.progress.complete
    await builder.run()
    assert builder.progress == VectorProgress(COUNT, COUNT)
    assert builder.progress.complete
    assert max(map(len, embedder.calls)) == 5
    assert sorted(embedder.embedded) == sorted(make_incident(f"inc-{n:02}").searchable for n in range(COUNT))
    assert set(clock.slept) == {0.5}
    ids, vectors = await store.vectors_of(embedder)
    np.testing.assert_array_equal(vectors, await embedder.embed([make_incident(key).searchable for key in ids]))
    assert len(ids) == COUNT


async def test_a_second_run_makes_nothing(database, store, clock):
    await building(database, Remote(), clock).run()
    again = Remote()
    await building(database, again, clock).run()
    assert again.calls == []


async def test_an_empty_store_is_done_at_once(database, clock):
    builder = building(database, Remote(), clock)
    await builder.run()
    assert builder.progress == VectorProgress(0, 0)


async def test_cancelled_it_keeps_what_it_has_and_goes_on_later(database, store, clock):
    embedder, enough = Remote(), asyncio.Event()

    def before(texts):
        if len(embedder.calls) == 2:
            enough.set()

    embedder.before = before
    task = asyncio.create_task(building(database, embedder, clock).run())
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = COUNT - await store.missing("remote")
    assert 0 < kept < COUNT
    rest = Remote()
    await building(database, rest, clock).run()
    assert await store.missing("remote") == 0
    assert len(rest.embedded) == COUNT - kept


async def test_an_outage_is_waited_out_with_growing_delays_and_shown_meanwhile(database, store, clock):
    seen = []
    down = LLMError("the provider is down")
    embedder = Remote(failing(*[down] * 4))

    class Watching(ManualClock):
        async def sleep(self, seconds):
            seen.append((seconds, builder.progress.last_error))
            await super().sleep(seconds)

    builder = building(database, embedder, Watching(), pause=0.0)
    await builder.run()
    assert [entry for entry in seen if entry[0]] == [(1.0, down), (2.0, down), (4.0, down), (8.0, down)]
    assert builder.progress == VectorProgress(COUNT, COUNT)


async def test_no_call_comes_earlier_than_the_error_allows(database, store, clock):
    embedder = Remote(failing(LLMError("slow down", retry_after=90.0)))
    await building(database, embedder, clock, pause=0.0).run()
    assert clock.slept[0] == 90.0
    assert len(embedder.calls[0]) == 5, "an error that says when to come back says nothing against the batch"


async def test_a_wait_without_end_is_cut_to_a_day(database, store, clock):
    await building(database, Remote(failing(LLMError("never", retry_after=float("inf")))), clock, pause=0.0).run()
    assert clock.slept[0] == 86_400.0


async def test_one_bad_text_holds_up_nothing_else(database, store):
    bad = make_incident("inc-07").searchable
    left_at_failure = []

    def before(texts):
        if bad in texts and len(left_at_failure) < 12:
            raise LLMError("an input is too long")

    class Watching(ManualClock):
        async def sleep(self, seconds):
            if seconds:
                left_at_failure.append(await store.missing("remote"))
            await super().sleep(seconds)

    builder = building(database, Remote(before), Watching(), pause=0.0)
    await builder.run()
    assert left_at_failure[-1] == 1, "all others were done while the bad one failed"
    assert builder.progress == VectorProgress(COUNT, COUNT)


@pytest.mark.parametrize("spoil", [lambda v: v[:-1], lambda v: v[:, :-1], lambda v: v * np.nan, lambda v: v / np.float32(0)])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
async def test_vectors_that_cannot_be_right_are_not_kept(database, store, clock, spoil):
    class Wrong(Remote):
        async def embed(self, texts):
            vectors = await super().embed(texts)
            return spoil(vectors) if len(self.calls) == 1 else vectors

    builder = building(database, embedder := Wrong(), clock)
    await builder.run()
    assert builder.progress == VectorProgress(COUNT, COUNT)
    _, vectors = await store.vectors_of(embedder)
    assert np.isfinite(vectors).all()


async def test_a_database_that_is_away_for_a_while_is_waited_out(database, store, clock):
    class Away(SqlVectors):
        left = 3

        async def coverage(self, embedder_name):
            if self.left:
                self.left -= 1
                raise DatabaseError("away")
            return await super().coverage(embedder_name)

    builder = building(Away(database), embedder := Remote(), clock, pause=0.0)
    await builder.run()
    assert builder.progress == VectorProgress(COUNT, COUNT)
    assert [wait for wait in clock.slept if wait] == [1.0, 2.0, 4.0]
    assert len(embedder.calls[0]) == 5


async def test_an_incident_that_changes_while_it_is_embedded_is_embedded_again(database, store, clock):
    changed = make_incident("inc-03", text="Quite another story.")

    class Slow(Remote):
        async def embed(self, texts):
            if make_incident("inc-03").searchable in texts:
                await store.put("own", [changed])
            return await super().embed(texts)

    embedder = Slow()
    await building(database, embedder, clock).run()
    ids, vectors = await store.vectors_of(embedder)
    np.testing.assert_array_equal(vectors[ids.index("inc-03")], (await embedder.embed([changed.searchable]))[0])


async def test_two_replicas_at_once_make_all_of_it(database, url, store, clock):
    other, mine, theirs = Database(url), Remote(), Remote()
    try:
        both = [
            VectorBuilder(SqlVectors(each), made, batch=5, clock=ManualClock())
            for each, made in ((database, mine), (other, theirs))
        ]
        await asyncio.gather(*(each.run() for each in both))
    finally:
        await other.close()
    assert await store.missing("remote") == 0
    assert len(set(mine.embedded) | set(theirs.embedded)) == COUNT
