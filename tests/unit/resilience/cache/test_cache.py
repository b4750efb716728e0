"""The cache around calls."""

import asyncio
import contextvars
import pickle
import sys
import threading
from dataclasses import dataclass

import pytest

from sengol_api.resilience.bulkhead import Bulkhead
from sengol_api.resilience.cache.keys import cache_key
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import cache_outcome, skip_cache
from sengol_api.resilience.cache.states import Evicted, NotCached
from sengol_api.resilience.deadline import deadline
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import ManualClock, Script, run_virtual


def text(query, *rest, **also):
    return query


def make(clock=None, **options):
    pipeline = Pipeline("search", Cache(**{"key": text, **options}), clock=clock or ManualClock())
    return pipeline, pipeline["cache"]


def listen(pipeline, *kinds):
    heard = []
    pipeline.subscribe(heard.append, *kinds)
    return heard


def test_the_second_call_is_answered_by_the_first():
    async def main():
        pipeline, cache = make()
        upstream = Script("one", "two")
        assert await pipeline.call(upstream, "a") == "one"
        assert await pipeline.call(upstream, "a") == "one"
        assert await pipeline.call(upstream, "b") == "two"
        assert len(upstream.calls) == 2
        snapshot = cache.snapshot()
        assert (snapshot.hits, snapshot.misses, snapshot.entries, snapshot.in_flight) == (1, 2, 2, 0)
        assert snapshot.hit_rate == pytest.approx(1 / 3)
        assert snapshot.bytes > 0

    asyncio.run(main())


def test_plain_functions_are_cached_too():
    pipeline, cache = make()
    upstream = Script("one", "two")
    assert [pipeline.call_sync(upstream.sync, "a") for _ in range(3)] == ["one"] * 3
    assert cache.snapshot().hits == 2


def test_by_default_a_call_is_known_by_its_function_and_arguments():
    async def main():
        pipeline, _ = make(key=None)

        @pipeline
        async def one(a, b=0):
            calls.append((a, b))
            return 1

        @pipeline
        async def two(a, b=0):
            return 2

        calls = []
        assert [await one(1), await one(1), await two(1), await one(1.0), await one(True), await one(1, b=2)] == [1, 1, 2, 1, 1, 1]
        assert calls == [(1, 0), (1.0, 0), (True, 0), (1, 2)]
        with pytest.raises(TypeError, match="argument 1 is a list"):
            await one([1])

    asyncio.run(main())
    pipeline, cache = make(key=None)
    with pytest.raises(TypeError, match="argument 'b' is a dict"):
        pipeline.call_sync(Script(1).sync, b={})
    assert pipeline.call_sync(text, 1) == 1
    assert cache.get(cache.key_for(text, 1)) == 1
    assert make(key=None)[0].call_sync(text, "a") == "a"


@pytest.mark.parametrize("key", [None, lambda value: value, lambda value: f"text:{value}"], ids=["call", "value", "text"])
@pytest.mark.parametrize("argument", ["text", 1, (1, "a"), None, 2.5], ids=repr)
def test_an_entry_is_found_changed_and_forgotten_by_the_key_of_its_call(key, argument):
    pipeline, cache = make(key=key)
    pipeline.call_sync(repr, argument)
    found = cache.key_for(repr, argument)
    assert cache.get(found) == repr(argument)
    cache.put(found, "another")
    assert pipeline.call_sync(repr, argument) == "another"
    assert cache.invalidate(found)
    assert pipeline.call_sync(repr, argument) == repr(argument)
    assert cache.snapshot().entries == 1


def test_keys_of_ones_own_that_python_calls_equal_do_not_collide():
    async def main():
        pipeline, cache = make(key=lambda value: value)
        upstream = Script("int", "float", "bool")
        assert [await pipeline.call(upstream, each) for each in (1, 1.0, True, 1, 1.0, True)] == ["int", "float", "bool"] * 2
        assert [cache.get(each) for each in (1, 1.0, True)] == ["int", "float", "bool"]
        assert cache.key_for(upstream, 1) != cache.key_for(upstream, True)

    asyncio.run(main())
    pipeline, _ = make(key=lambda value: value)
    assert [pipeline.call_sync(type, each) for each in (1, 1.0, True)] == [int, float, bool]


def test_a_key_function_that_raises_tells_its_caller_and_leaks_nothing():
    async def main():
        pipeline, cache = make(key=lambda value: value["missing"])
        with pytest.raises(KeyError):
            await pipeline.call(Script(1), {})
        assert cache.snapshot().in_flight == 0
        bad, _ = make(key=lambda value: [value])
        with pytest.raises(TypeError, match="the key is a list"):
            await bad.call(Script(1), 1)

    asyncio.run(main())


def test_an_error_is_never_cached():
    async def main():
        pipeline, cache = make()
        upstream = Script(ValueError("no"), "yes")
        with pytest.raises(ValueError, match="no"):
            await pipeline.call(upstream, "a")
        assert await pipeline.call(upstream, "a") == "yes"
        assert cache.snapshot().misses == 2
        with pytest.raises(ValueError, match="no"):
            pipeline.call_sync(Script(ValueError("no")).sync, "b")
        assert cache.get("b") is None

    asyncio.run(main())


def test_an_entry_ends_with_its_time_and_makes_room():
    clock = ManualClock()
    pipeline, cache = make(clock, ttl=10.0)
    upstream = Script("one", "two")
    pipeline.call_sync(upstream.sync, "a")
    clock.advance(9.99)
    assert pipeline.call_sync(upstream.sync, "a") == "one"
    clock.advance(0.01)
    assert cache.get("a") is None
    assert pipeline.call_sync(upstream.sync, "a") == "two"
    snapshot = cache.snapshot()
    assert (snapshot.entries, snapshot.expirations, snapshot.evictions) == (1, 1, 0)


def test_stepping_the_wall_clock_changes_nothing():
    clock = ManualClock()
    _, cache = make(clock, ttl=10.0)
    cache.put("a", 1)
    clock.step_wall(1e9)
    assert cache.get("a") == 1
    clock.step_wall(-2e9)
    clock.advance(10.0)
    assert cache.get("a") is None


def test_expired_entries_do_not_stay_for_ever():
    clock = ManualClock()
    pipeline, cache = make(clock)
    for number in range(100):
        cache.put(number, "x" * 100, ttl=10.0)
    cache.put("longer", "y", ttl=1000.0)
    clock.advance(10.0)
    pipeline.call_sync(Script("new").sync, "new")
    assert len(cache._shelf.entries) == 2
    clock.advance(10_000.0)
    assert cache.snapshot().entries == 0
    assert cache.snapshot().expirations == 102
    assert cache.snapshot().bytes == 0


def test_expired_entries_go_before_living_ones():
    clock = ManualClock()
    pipeline, cache = make(clock, max_entries=2)
    heard = listen(pipeline, Evicted)
    cache.put("long", 1)
    cache.put("short", 2, ttl=1.0)
    clock.advance(1.0)
    cache.put("new", 3)
    assert cache.get("long") == 1
    assert heard == []


def test_a_result_may_say_how_long_it_lives():
    clock = ManualClock()
    pipeline, cache = make(clock, ttl=100.0, ttl_of={"short": 1.0, "never": 0, "usual": None}.__getitem__)
    upstream = Script("short", "never", "usual")
    for key in "abc":
        pipeline.call_sync(upstream.sync, key)
    assert [cache.get(key) for key in "abc"] == ["short", None, "usual"]
    clock.advance(1.0)
    assert [cache.get(key) for key in "abc"] == [None, None, "usual"]
    assert cache.snapshot().not_cached == 0


@pytest.mark.parametrize(
    ("options", "reason", "error"),
    [
        ({"ttl_of": lambda value: 1 / 0}, "ttl", ZeroDivisionError),
        ({"ttl_of": lambda value: float("nan")}, "ttl", ValueError),
        ({"ttl_of": lambda value: -1}, "ttl", ValueError),
        ({"size_of": lambda value: 1 / 0}, "size", ZeroDivisionError),
        ({"size_of": lambda value: -1}, "size", ValueError),
        ({"size_of": lambda value: 11, "max_bytes": 10}, "too large", type(None)),
        ({"copy": lambda value: 1 / 0}, "copy", ZeroDivisionError),
    ],
)
def test_a_result_that_cannot_be_kept_still_reaches_its_caller(options, reason, error, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    pipeline, cache = make(**options)
    heard = listen(pipeline, NotCached)
    value = [1]
    assert pipeline.call_sync(Script(value).sync, "a") is value
    assert [(each.reason, type(each.error), each.key) for each in heard] == [(reason, error, "a")]
    snapshot = cache.snapshot()
    assert (snapshot.entries, snapshot.not_cached, snapshot.in_flight) == (0, 1, 0)


def test_a_function_of_the_users_that_raises_is_reported(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: seen.append(unraisable.exc_type))
    pipeline, _ = make(ttl_of=lambda value: 1 / 0)
    assert pipeline.call_sync(Script(1).sync, "a") == 1
    assert seen == [ZeroDivisionError]


def test_the_least_recently_used_goes_first():
    pipeline, cache = make(max_entries=3)
    heard = listen(pipeline, Evicted)
    for key in "abc":
        cache.put(key, key)
    cache.get("a")
    pipeline.call_sync(Script("never").sync, "b")
    cache.put("d", "d")
    assert [cache.get(key) for key in "abcd"] == ["a", "b", None, "d"]
    assert [(each.key, each.size) for each in heard] == [("c", sys.getsizeof("c"))]
    assert cache.snapshot().evictions == 1


def test_the_sizes_of_all_values_stay_within_their_bound():
    _, cache = make(max_bytes=100, size_of=len)
    cache.put("a", "x" * 60)
    cache.put("b", "y" * 40)
    assert cache.snapshot().bytes == 100
    cache.put("c", "z" * 30)
    assert [cache.get(key) is not None for key in "abc"] == [False, True, True]
    cache.put("c", "z" * 60)
    assert cache.snapshot().bytes == 100
    cache.put("c", "z" * 101)
    assert cache.get("c") is None
    assert cache.snapshot().bytes == 40


def test_by_default_a_copied_value_is_as_large_as_its_pickle():
    _, cache = make()
    cache.put("a", [1] * 100)
    assert cache.snapshot().bytes == len(pickle.dumps([1] * 100, pickle.HIGHEST_PROTOCOL))


def test_bounds_can_be_changed_at_run_time():
    pipeline, cache = make()
    heard = listen(pipeline, Evicted)
    for number in range(10):
        cache.put(number, number)
    cache.update(max_entries=3)
    assert [each.key for each in heard] == [(int, str(number)) for number in range(7)]
    assert cache.snapshot().entries == 3
    cache.update(key=lambda value: "all the same")
    pipeline.call_sync(Script("x").sync, "a")
    assert pipeline.call_sync(Script("y").sync, "b") == "x"
    with pytest.raises(OptionsError, match="max_entries=0"):
        cache.update(max_entries=0)


def test_what_the_receiver_does_to_a_value_the_next_one_does_not_see():
    async def main():
        pipeline, _ = make()
        upstream = Script(lambda: {"hits": [1, 2]})
        first = await pipeline.call(upstream, "a")
        first["hits"].append(3)
        second = await pipeline.call(upstream, "a")
        assert second == {"hits": [1, 2]}
        second.clear()
        assert pipeline.call_sync(upstream.sync, "a") == {"hits": [1, 2]}
        assert len(upstream.calls) == 1

    asyncio.run(main())


def test_what_is_put_and_got_is_copied_too():
    _, cache = make()
    value = [1]
    cache.put("a", value)
    value.append(2)
    got = cache.get("a")
    got.append(3)
    assert cache.get("a") == [1]


def test_an_immutable_value_is_handed_out_itself():
    pipeline, cache = make()
    value = ("a" * 1000, (1, 2.5, None))
    pipeline.call_sync(Script(value).sync, "a")
    assert cache.get("a") is value


@dataclass
class Unreadable:
    """Can be pickled, but not read again."""

    n: int = 0

    def __reduce__(self):
        return (_raise, ())


def _raise():
    raise ValueError("cannot be read")


def test_a_value_that_cannot_be_read_again_is_as_good_as_not_kept():
    async def main():
        pipeline, cache = make()
        heard = listen(pipeline, NotCached)
        upstream = Script(Unreadable(1), Unreadable(2))
        assert (await pipeline.call(upstream, "a")).n == 1
        assert (await pipeline.call(upstream, "a")).n == 2
        assert [each.reason for each in heard] == ["copy"]
        assert cache.get("a", "nothing") == "nothing"
        assert cache.snapshot().entries == 0
        assert pipeline.call_sync(upstream.sync, "a").n == 2
        assert pipeline.call_sync(upstream.sync, "a").n == 2

    asyncio.run(main())


def test_a_kept_none_is_not_nothing():
    pipeline, cache = make()
    upstream = Script(None, "more")
    assert pipeline.call_sync(upstream.sync, "a") is None
    assert pipeline.call_sync(upstream.sync, "a") is None
    assert cache.get("a", "nothing") is None
    assert cache.get("b", "nothing") == "nothing"


def test_get_and_put_stand_alone():
    clock = ManualClock()
    _, cache = make(clock, ttl=100.0)
    key = cache_key("search", "query", {"area": "x"})
    assert cache.get(key) is None
    cache.put(key, "found", ttl=5.0)
    assert cache.get(key) == "found"
    clock.advance(5.0)
    assert cache.get(key) is None
    cache.put(key, "usual")
    clock.advance(99.0)
    assert cache.get(key) == "usual"
    cache.put(key, "not at all", ttl=0)
    assert cache.get(key) is None
    snapshot = cache.snapshot()
    assert (snapshot.hits, snapshot.misses) == (2, 3)


@pytest.mark.parametrize("ttl", [-1, float("nan"), float("inf"), "1", True])
def test_a_time_to_live_that_is_none_is_refused(ttl):
    _, cache = make()
    with pytest.raises(OptionsError, match="put: ttl="):
        cache.put("a", 1, ttl=ttl)


def test_what_was_invalidated_is_gone():
    _, cache = make()
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.invalidate("a")
    assert not cache.invalidate("a")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.clear()
    assert cache.snapshot().entries == 0
    assert cache.snapshot().bytes == 0
    assert cache.get("b") is None


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
