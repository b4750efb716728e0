"""What a caller can ask of a cache and learn from it, in event loops and threads."""

import asyncio
import contextvars
import pickle
import threading

import pytest

from sengol_api.resilience.bulkhead import Bulkhead
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import cache_outcome, skip_cache
from sengol_api.resilience.deadline import deadline
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.toolkit.caches import make, text


def test_a_caller_can_skip_the_cache_and_renews_it_by_that():
    async def main():
        pipeline, cache = make()
        upstream = Script("one", "two", "three")
        assert await pipeline.call(upstream, "a") == "one"
        with skip_cache(), cache_outcome() as outcome:
            assert await pipeline.call(upstream, "a") == "two"
            assert outcome.source == "miss"
            assert cache.get("a") is None
            assert pipeline.call_sync(upstream.sync, "a") == "three"
        with skip_cache():
            assert await pipeline.call(upstream, "a") == pipeline.call_sync(upstream.sync, "a") == "three"
        with cache_outcome() as outcome, skip_cache():
            assert await pipeline.call(upstream, "a") == "three"
            assert outcome.source == "miss"
        assert await pipeline.call(Script("never"), "a") == "three"
        assert cache.snapshot().misses == 7

    asyncio.run(main())


def test_a_call_that_skips_the_cache_joins_nobody():
    async def main(loop):
        pipeline, _ = make(loop)
        started = asyncio.Event()
        answers = iter(["old", "new"])

        async def upstream(query):
            answer = next(answers)
            started.set()
            await asyncio.sleep(10.0 if answer == "old" else 1.0)
            return answer

        slow = asyncio.create_task(pipeline.call(upstream, "a"))
        await started.wait()
        with skip_cache():
            assert await pipeline.call(upstream, "a") == "new"
        assert await slow == "old"
        assert await pipeline.call(upstream, "a") == "new", "the older answer came later and must not replace it"

    run_virtual(main)


def test_the_caller_can_learn_where_a_value_came_from():
    async def main(loop):
        pipeline, _ = make(loop, ttl=10.0, stale_while_revalidate=10.0)
        with cache_outcome() as outcome:
            assert outcome.source is None
            await pipeline.call(Script("one"), "a")
            assert (outcome.source, outcome.age) == ("miss", 0.0)
            await asyncio.sleep(4.0)
            await pipeline.call(Script("two"), "a")
            assert (outcome.source, outcome.age) == ("fresh", pytest.approx(4.0))
            await asyncio.sleep(8.0)
            await pipeline.call(Script("three"), "a")
            assert (outcome.source, outcome.age) == ("stale", pytest.approx(12.0))
            with pytest.raises(ValueError, match="no"):
                await pipeline.call(Script(ValueError("no")), "b")
            assert outcome.source is None
            assert pipeline.call_sync(Script("four").sync, "c") == "four"
            assert outcome.source == "miss"
            await asyncio.gather(*(pipeline.call(Script("five"), "d") for _ in range(2)))
            assert outcome.source == "coalesced"
        await pipeline.call(Script("six"), "e")
        assert outcome.source == "coalesced", "the block is over"

    run_virtual(main)


def test_a_cache_inside_of_a_shared_call_tells_its_own_callers_only():
    async def main(loop):
        outer, _ = make(loop)
        inner, cache = make(loop)
        cache.put("a", "kept")

        async def upstream(query):
            return await inner.call(Script("new"), query)

        with cache_outcome() as outcome:
            assert await outer.call(upstream, "a") == "kept"
        assert outcome.source == "miss"

    run_virtual(main)


def test_a_fresh_value_is_served_past_any_deadline():
    async def main(loop):
        pipeline, _ = make(loop)
        await pipeline.call(Script("one"), "a")
        with deadline(0, clock=loop):
            assert await pipeline.call(Script("two"), "a") == "one"
            assert pipeline.call_sync(Script("two").sync, "a") == "one"

    run_virtual(main)


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(OptionsError) as caught:
        Cache(max_entries=0, max_bytes=0, ttl=float("nan"), stale_if_error=-1.0, tier=object(), early_refresh=-1)
    assert len(caught.value.problems) == 6
    with pytest.raises(OptionsError, match="encode and decode"):
        Cache(encode=pickle.dumps)
    with pytest.raises(OptionsError, match="bulkhead outside of cache"):
        Pipeline("x", Bulkhead(), Cache())


def test_one_cache_serves_two_event_loops_in_a_row():
    pipeline, _ = make()
    upstream = Script("one", "two")
    assert asyncio.run(_call(pipeline, upstream)) == ["one"] * 5
    assert asyncio.run(_call(pipeline, upstream)) == ["one"] * 5
    assert pipeline.call_sync(upstream.sync, "a") == "one"


async def _call(pipeline, upstream):
    return await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(5)))


def test_eight_threads_share_the_entries_without_harm():
    pipeline, cache = make(max_entries=50, max_bytes=2_000, size_of=len)
    barrier = threading.Barrier(8)
    wrong = []

    def work(number):
        barrier.wait()
        for turn in range(2_000):
            key = f"{(turn * (number + 1)) % 120}"
            if turn % 97 == 0:
                cache.invalidate(key)
            if turn % 501 == 0:
                cache.clear()
            value = pipeline.call_sync(lambda query: query * 20, key)
            if value != key * 20 or (cache.get(key) not in (None, value)):
                wrong.append(key)

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    entries = cache._shelf.entries
    assert entries.bytes == sum(entries.find(key).size for key in entries.keys()) <= 2_000  # noqa: SIM118 - no dict
    assert len(entries) <= 50
    assert cache.snapshot().in_flight == 0


def test_a_hit_on_an_entry_that_another_thread_is_removing_is_a_hit():
    class Racing(ManualClock):
        """A clock at whose every look another thread removes the entry."""

        def now(self):
            if armed:
                cache._shelf.entries.remove("a")
            return 0.0

    armed = []
    pipeline = Pipeline("search", Cache(key=text), clock=Racing())
    cache = pipeline["cache"]

    def again():
        armed.clear()
        cache.put("a", "one")
        armed.append(True)

    again()
    assert asyncio.run(_call(pipeline, Script("one")))[0] == "one"
    again()
    assert pipeline.call_sync(Script("two").sync, "a") == "one"
    again()
    assert cache.get("a") == "one"
    cache.put("b", "one")
    with cache_outcome():  # the longer way, on which the entry was found before it went
        cache._shelf.entries.find = lambda key, find=cache._shelf.entries.find: (again(), find(key))[1]
        assert pipeline.call_sync(Script("two").sync, "a") == "one"
