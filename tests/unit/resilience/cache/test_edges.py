"""Where a cache changes its mind: the moments and values at which one more, or one less, would be another behaviour."""

import gc
import random
import weakref
from dataclasses import dataclass

import pytest

from sengol_api.resilience.cache.lru import Entries, Entry
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import cache_outcome
from sengol_api.resilience.cache.sizes import size_in_memory
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import Script, after, run_virtual
from support.toolkit.cache_edges import Caller


@pytest.fixture(params=["sync", "async"])
def caller(request):
    made = []

    def make(**options):
        made.append(Caller(request.param, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


# Time


def test_a_value_is_fresh_until_its_end_and_not_at_it(caller):
    cached = caller()
    assert cached.call("old") == "old"
    assert (cached.outcome.source, cached.outcome.age) == ("miss", 0.0)
    cached.loop.jump(0.5)
    assert cached.call("new") == "old"
    assert (cached.outcome.source, cached.outcome.age) == ("fresh", 0.5)
    cached.loop.jump(9.5)
    assert cached.call("new") == "new"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nobody_who_asks_without_wanting_to_know_gets_a_value_at_its_end(kind):
    async def main(loop):
        pipeline = Pipeline("search", Cache(key=lambda: "a", ttl=10.0), clock=loop)

        async def ask(step):
            return pipeline.call_sync(Script(step).sync) if kind == "sync" else await pipeline.call(Script(step))

        assert await ask("old") == "old"
        loop.jump(10.0)
        assert await ask("new") == "new"

    run_virtual(main)


def test_at_its_end_a_value_is_stale_and_at_the_end_of_its_window_gone(caller):
    cached = caller(stale_if_error=5.0)
    cached.call("old")
    cached.loop.jump(10.0)
    assert cached.call(ConnectionError()) == "old"
    assert cached.outcome.source == "stale"
    cached.loop.jump(4.5)
    assert cached.call(ConnectionError()) == "old"
    cached.loop.jump(0.5)
    with pytest.raises(ConnectionError):
        cached.call(ConnectionError())
    assert cached.cache.snapshot().entries == 0


def test_a_window_that_is_shortened_at_run_time_ends_at_its_new_end(caller):
    cached = caller(stale_if_error=60.0)
    cached.call("old")
    cached.cache.update(stale_if_error=5.0)
    cached.loop.jump(14.5)
    assert cached.call(ConnectionError()) == "old"
    cached.loop.jump(0.5)
    with pytest.raises(ConnectionError):
        cached.call(ConnectionError())


def test_a_value_that_was_quick_to_make_or_put_is_not_refreshed_long_before_its_end(caller):
    cached = caller(early_refresh=1.0)
    cached.call("made")
    cached.cache.put("b", "put")
    cached.loop.jump(9.9)
    assert cached.call("again") == "made"
    assert cached.call("again", query="b") == "put"
    assert cached.cache.snapshot().refreshes == 0


def test_times_to_live_of_less_than_a_second_are_kept(caller):
    cached = caller(ttl_of=lambda value: 0.5, size_of=lambda value: 0)
    cached.call("made")
    cached.cache.put("b", "put", ttl=0.5)
    assert cached.cache.snapshot().entries == 2
    cached.loop.jump(0.4)
    assert cached.call("again") == "made"
    assert cached.cache.get("b") == "put"
    cached.loop.jump(0.1)
    assert cached.cache.snapshot().entries == 0


# What is told


def test_a_call_that_raises_leaves_no_outcome_of_the_one_before():
    cached = Caller("sync")
    with cache_outcome() as outcome:
        assert (outcome.source, outcome.age) == (None, 0.0)
        cached.pipeline.call_sync(Script("value").sync, "a")
        cached.loop.jump(1.0)
        cached.pipeline.call_sync(Script("value").sync, "a")
        assert (outcome.source, outcome.age) == ("fresh", 1.0)
        with pytest.raises(ValueError, match="no"):
            cached.pipeline.call_sync(Script(ValueError("no")).sync, "b")
        assert (outcome.source, outcome.age) == (None, 0.0)
        with cache_outcome() as inner:
            assert cached.pipeline.call_sync(Script("never").sync, "a") == "value"
            assert cached.cache.get("a") == "value"
        assert inner.source == "fresh"
    cached.close()


def test_who_makes_a_stale_value_anew_is_told_that_it_was_made():
    cached = Caller("sync", stale_while_revalidate=10.0)
    cached.call("old")
    cached.loop.jump(11.0)
    assert cached.call("new") == "new"
    assert cached.outcome.source == "miss"
    cached.close()


def test_a_cache_that_nobody_asked_has_saved_nothing():
    cached = Caller("sync")
    assert cached.cache.snapshot().hit_rate == 0.0
    cached.close()


# Room


def test_a_hit_makes_an_entry_the_last_used_one():
    async def main(loop):
        pipeline = Pipeline("search", Cache(key=lambda query: query, max_entries=2), clock=loop)
        for query in ("a", "b", "a", "c"):
            await pipeline.call(Script(query), query)
        assert pipeline["cache"].get("a") == "a"
        assert pipeline["cache"].get("b") is None

    run_virtual(main)


@dataclass(frozen=True)
class Value:
    """Cannot be changed, so it is kept as it is, and can be seen to go."""

    text: str


def test_what_has_ended_is_let_go_by_the_next_miss_even_if_that_fails(caller):
    cached = caller()
    value = Value("old")
    gone = weakref.ref(value)
    cached.cache.put("a", value)
    cached.loop.jump(11.0)
    del value
    with pytest.raises(ValueError, match="no"):
        cached.call(ValueError("no"), query="b")
    gc.collect()
    assert gone() is None


def test_what_was_cleared_is_let_go():
    cached = Caller("sync")
    value = Value("old")
    gone = weakref.ref(value)
    cached.cache.put("a", value)
    cached.cache.clear()
    del value
    assert gone() is None
    cached.close()


def entry(gone_at):
    return Entry("value", size=1, stored_at=0.0, fresh_until=gone_at, sure_until=gone_at, gone_at=gone_at, took=0.0)


def test_entries_that_are_replaced_again_and_again_end_when_they_should_and_take_no_more_room():
    entries, chance, ends = Entries(100, None), random.Random(1), {}
    for _ in range(5000):
        key = f"key {chance.randrange(50)}"
        ends[key] = chance.uniform(0.0, 1000.0)
        entries.put(key, entry(ends[key]))
        assert len(entries._ends) <= 2 * len(entries) + 64
    for now in range(0, 1001, 10):
        entries.purge(now)
        assert set(entries.keys()) == {key for key, end in ends.items() if end > now}


def test_the_keys_of_a_dict_take_room_too():
    long = "a long key " * 100
    assert size_in_memory({long: 1}) > size_in_memory({"short": 1}) + 1000


# Sharing in an event loop


def test_an_error_shows_where_it_was_raised(caller):
    def work():
        raise ValueError("no")

    async def work_later():
        work()

    cached = caller(key=lambda: "a")
    call = {
        "sync": lambda: cached.pipeline.call_sync(work),
        "async": lambda: cached.loop.run_until_complete(cached.pipeline.call(work_later)),
    }[cached.kind]
    with pytest.raises(ValueError, match="no") as raised:
        call()
    assert raised.traceback[-1].name == "work"


def test_a_call_that_ends_leaves_those_for_other_keys_to_be_shared():
    async def main(loop):
        pipeline = Pipeline("search", Cache(key=lambda query: query), clock=loop)
        upstream = Script(after(5.0, "slow"), after(1.0, "quick"))
        slow = [loop.create_task(pipeline.call(upstream, "slow"))]
        await after_a_moment(loop)
        assert await pipeline.call(upstream, "quick") == "quick"
        slow.append(loop.create_task(pipeline.call(upstream, "slow")))
        assert [await each for each in slow] == ["slow", "slow"]
        assert len(upstream.calls) == 2

    run_virtual(main)


async def after_a_moment(loop):
    await loop.sleep(0.1)
