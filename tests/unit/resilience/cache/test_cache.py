"""The cache around calls."""

import asyncio
import pickle
import sys

import pytest

from sengol_api.resilience.cache.states import Evicted, NotCached
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.testing import ManualClock, Script
from support.toolkit.caches import listen, make, text


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


def test_whether_a_value_is_held_can_be_asked_without_using_it():
    clock = ManualClock()
    _, cache = make(clock, ttl=10.0, max_entries=2, stale_if_error=100.0)
    cache.put("a", 1)
    cache.put(("b", 2), 2)
    assert [cache.holds(each) for each in ("a", ("b", 2), "c")] == [True, True, False]
    cache.put("c", 3)  # the one that was used longest ago makes room: to ask is not to use
    assert [cache.holds(each) for each in ("a", ("b", 2), "c")] == [False, True, True]
    assert (cache.snapshot().hits, cache.snapshot().misses) == (0, 0)
    clock.advance(10.0)
    assert not cache.holds("c")


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
