"""The second tier: shared, and never trusted with anybody's time."""

import asyncio
import gc
import pickle

import pytest

from sengol_api.resilience.cache import tier as tier_module
from sengol_api.resilience.cache.envelope import Enclosed, from_json, seal, to_json, unseal
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import cache_outcome, skip_cache
from sengol_api.resilience.cache.states import TierFailed
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import Script, VirtualLoop, after, hang, run_virtual


def replica(loop, tier, **options):
    pipeline = Pipeline("search", Cache(**{"key": lambda query: query, "ttl": 100.0, "tier": tier, **options}), clock=loop)
    events = []
    pipeline.subscribe(events.append, TierFailed)
    return pipeline, pipeline["cache"], events


class Scripted:
    """A tier whose every access follows a script."""

    def __init__(self, *steps):
        self.script = Script(*steps)

    async def get(self, key):
        return await self.script("get", key)

    async def set(self, key, value, ttl):
        await self.script("set", key, value, ttl)

    async def delete(self, key):
        await self.script("delete", key)

    async def clear(self):
        await self.script("clear")

    def count(self, operation):
        return sum(args[0] == operation for args, _ in self.script.calls)


def test_what_one_replica_has_made_another_finds():
    async def main(loop):
        tier = InMemoryTier(loop)
        one, cache, _ = replica(loop, tier)
        two, other, _ = replica(loop, tier)
        value = {"hits": [1, 2.5, None, "ä\ud800"]}
        assert await one.call(Script(value), "a") == value
        await asyncio.sleep(40.0)
        with cache_outcome() as outcome:
            assert await two.call(Script("never"), "a") == value
        assert (outcome.source, outcome.age) == ("fresh", pytest.approx(40.0))
        await asyncio.sleep(59.0)
        assert await two.call(Script("never"), "a") == value
        await asyncio.sleep(1.1)
        assert await two.call(Script("new"), "a") == "new", "it lives no longer for having been handed on"
        snapshot = other.snapshot()
        assert (snapshot.tier_hits, snapshot.hits, snapshot.misses, snapshot.tier_errors, snapshot.tier) == (1, 1, 1, 0, "CLOSED")
        assert snapshot.hit_rate == pytest.approx(2 / 3)
        assert cache.snapshot().tier_hits == 0

    run_virtual(main)


def test_those_who_wait_share_one_look_into_the_tier():
    async def main(loop):
        tier = InMemoryTier(loop)
        one, _, _ = replica(loop, tier)
        await one.call(Script([1]), "a")
        two, _, _ = replica(loop, tier)
        values = await asyncio.gather(*(two.call(Script("never"), "a") for _ in range(3)))
        assert values == [[1]] * 3
        assert len({id(value) for value in values}) == 3

    run_virtual(main)


def test_without_a_tier_there_is_no_state():
    async def main(loop):
        pipeline, cache, _ = replica(loop, None)
        await pipeline.call(Script(1), "a")
        cache.invalidate("a")
        cache.clear()
        assert cache.snapshot().tier is None

    run_virtual(main)


@pytest.mark.parametrize(
    ("step", "delay"),
    [
        (ConnectionRefusedError("refused"), 0.0),
        (hang, 0.05),
        (after(10.0, None), 0.05),
        (b"garbage", 0.0),
        (b"sengol-cache/1\nwrong\nrest", 0.0),
        (b"sengol-cache/2\n", 0.0),
        (b"", 0.0),
        ("text", 0.0),
        (42, 0.0),
        (asyncio.CancelledError(), 0.0),
    ],
)
def test_a_tier_in_whatever_trouble_delays_a_call_by_its_timeout_and_is_then_left_alone(step, delay):
    async def main(loop):
        tier = Scripted(step)
        pipeline, cache, events = replica(loop, tier, tier_failures=3, tier_cooldown=10.0)
        for number in range(3):
            before = loop.now()
            assert await pipeline.call(Script("answer"), f"{number}") == "answer"
            assert loop.now() - before == pytest.approx(delay, abs=0.001)
        await asyncio.sleep(1.0)
        assert cache.snapshot().tier == "OPEN"
        assert cache.snapshot().tier_errors == len(events) >= 3
        assert tier.count("set") == 3
        asked = tier.count("get")
        before = loop.now()
        for number in range(100):
            await pipeline.call(Script("answer"), f"more {number}")
        assert loop.now() == before
        assert tier.count("get") == asked == 3
        await asyncio.sleep(10.0)
        await pipeline.call(Script("answer"), "after the cool-down")
        assert tier.count("get") == 4
        gc.collect()

    run_virtual(main)


def test_a_tier_that_does_not_even_react_to_being_cancelled_is_left_behind():
    async def main(loop):
        class Stubborn(InMemoryTier):
            async def get(self, key):
                while True:
                    try:
                        await asyncio.sleep(3.0)
                    except asyncio.CancelledError:
                        continue
                    raise ConnectionError("at last")

        pipeline, cache, _ = replica(loop, Stubborn(loop))
        before = loop.now()
        assert await pipeline.call(Script("answer"), "a") == "answer"
        assert loop.now() - before == pytest.approx(0.05, abs=0.001)
        await asyncio.sleep(10.0)
        assert cache._behind._guard._left_behind == set()

    run_virtual(main)


def test_a_tier_that_is_well_again_is_used_again():
    async def main(loop):
        tier = Scripted(*[OSError()] * 4, None)
        pipeline, cache, _ = replica(loop, tier, tier_failures=2, tier_cooldown=5.0)
        for key in "ab":
            await pipeline.call(Script("answer"), key)
            await asyncio.sleep(0.1)
        assert cache.snapshot().tier == "OPEN"
        await asyncio.sleep(5.0)
        await pipeline.call(Script("answer"), "c")
        await asyncio.sleep(0.1)
        assert cache.snapshot().tier == "CLOSED"
        assert cache.snapshot().tier_errors == 4

    run_virtual(main)


def test_a_caller_who_is_cancelled_takes_the_look_into_the_tier_along():
    async def main(loop):
        tier = Scripted(hang)
        pipeline, cache, _ = replica(loop, tier)
        call = asyncio.create_task(pipeline.call(Script("answer"), "a"))
        await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.sleep(0.01)
        assert tier.script.cancelled == 1
        assert cache.snapshot().tier_errors == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main)


def test_a_slow_write_delays_nobody():
    async def main(loop):
        class SlowToWrite(InMemoryTier):
            async def set(self, key, value, ttl):
                await asyncio.sleep(0.04)
                await super().set(key, value, ttl)

        tier = SlowToWrite(loop)
        pipeline, _, _ = replica(loop, tier)
        before = loop.now()
        assert await pipeline.call(Script("answer"), "a") == "answer"
        assert loop.now() == before
        gc.collect()
        await asyncio.sleep(1.0)
        assert len(tier.values) == 1

    run_virtual(main)


def test_what_its_receiver_does_to_a_value_the_tier_does_not_see():
    async def main(loop):
        tier = InMemoryTier(loop)
        one, _, _ = replica(loop, tier)
        value = await one.call(Script([1]), "a")
        value.append(2)
        await asyncio.sleep(1.0)
        assert await replica(loop, tier)[0].call(Script("never"), "a") == [1]

    run_virtual(main)


@pytest.mark.parametrize(
    "value", [(1, 2), {1: "a"}, {"a": (1,)}, {"a": {1}}, [b"x"], float("nan"), [float("inf")], object(), True + 0j]
)
def test_a_value_that_json_would_change_stays_local(value):
    with pytest.raises(TypeError):
        to_json(value)

    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier)
        await pipeline.call(Script(value), "a")
        await asyncio.sleep(1.0)
        assert tier.values == {}
        assert cache.snapshot().tier_errors == 0
        assert cache.snapshot().entries == 1

    run_virtual(main)


def test_nothing_from_the_tier_is_unpickled():
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("it went off",))

    async def main(loop):
        for data in (pickle.dumps(Bomb()), seal("x", Enclosed(pickle.dumps(Bomb()), 0.0, 1.0, 0.0))):
            pipeline, cache, events = replica(loop, Scripted(data))
            assert await pipeline.call(Script("answer"), "a") == "answer"
            assert cache.snapshot().tier_errors == len(events) == 1

    run_virtual(main)


def test_values_may_be_encoded_in_a_way_of_ones_own():
    async def main(loop):
        tier = InMemoryTier(loop)
        options = {"encode": lambda value: repr(value).encode(), "decode": lambda data: ("decoded", data.decode())}
        await replica(loop, tier, **options)[0].call(Script((1, 2)), "a")
        await asyncio.sleep(1.0)
        two, _, _ = replica(loop, tier, **options)
        assert await two.call(Script("never"), "a") == ("decoded", "(1, 2)")
        three, cache, events = replica(loop, tier, encode=options["encode"], decode=lambda data: 1 / 0)
        assert await three.call(Script("made"), "a") == "made"
        assert [(each.operation, type(each.error)) for each in events] == [("get", ZeroDivisionError)]
        assert cache.snapshot().tier_errors == 1

    run_virtual(main)


def test_an_entry_is_read_only_under_its_own_name_and_undamaged():
    data = seal("name", Enclosed(b"body\nwith lines", 1.5, 10.0, 0.25))
    assert unseal("name", data) == Enclosed(b"body\nwith lines", 1.5, 10.0, 0.25)
    with pytest.raises(ValueError, match="another key"):
        unseal("other", data)
    for place in range(len(data)):
        damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(ValueError, match=r"version|damaged"):
            unseal("name", damaged)
        with pytest.raises(ValueError, match=r"version|damaged"):
            unseal("name", data[:place])


@pytest.mark.parametrize(
    "head", [b"[]", b"{}", b"1", b'["name",1,2]', b'["name",1,2,-1]', b'["name",1e999,2,3]', b'["name","1",2,3]']
)
def test_an_entry_that_is_whole_but_makes_no_sense_is_refused(head):
    import hashlib

    rest = head + b"\nbody"
    with pytest.raises(ValueError, match="another key"):
        unseal("name", b"\n".join((b"sengol-cache/1", hashlib.sha256(rest).hexdigest().encode(), rest)))


def test_json_gives_back_what_it_was_given():
    value = {"a": [1, 1.0, True, None, "ä\ud800", {}]}
    assert from_json(to_json(value)) == value


def test_what_was_invalidated_is_not_brought_back_by_the_tier():
    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier)
        upstream = Script("one", "two", "three")
        await pipeline.call(upstream, "a")
        await asyncio.sleep(1.0)
        assert cache.invalidate("a")
        assert await pipeline.call(upstream, "a") == "two"
        await asyncio.sleep(1.0)
        cache.clear()
        assert await pipeline.call(upstream, "a") == "three"
        await asyncio.sleep(1.0)
        assert await replica(loop, tier)[0].call(Script("never"), "a") == "three"

    run_virtual(main)


def test_an_invalidation_that_the_tier_missed_holds_here_all_the_same():
    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, events = replica(loop, tier)
        await pipeline.call(Script("one"), "a")
        await asyncio.sleep(1.0)

        async def refused(*_):
            raise ConnectionError

        tier.delete = tier.clear = refused
        cache.invalidate("a")
        await asyncio.sleep(1.0)
        assert [each.operation for each in events] == ["delete"]
        tier.set = refused
        assert await pipeline.call(Script("two"), "a") == "two"
        await asyncio.sleep(1.0)
        del tier.set
        cache.clear()
        await asyncio.sleep(1.0)
        assert await pipeline.call(Script("three"), "a") == "three"
        assert [each.operation for each in events] == ["delete", "set", "clear"]

    run_virtual(main)


def test_an_invalidation_without_an_event_loop_holds_too():
    loop = VirtualLoop()
    tier = InMemoryTier(loop)
    pipeline, cache, _ = replica(loop, tier)

    async def first(_):
        await pipeline.call(Script("one"), "a")
        await asyncio.sleep(1.0)

    async def second(_):
        assert await pipeline.call(Script("two"), "a") == "two"

    run_virtual(first, loop=loop)
    loop.jump(1.0)
    cache.invalidate("a")
    again = VirtualLoop(start=loop.now(), wall=loop.wall())
    run_virtual(second, loop=again)
    cache.put("b", "x")
    cache.clear()
    assert cache.get("b") is None


def test_so_many_invalidations_that_not_all_can_be_remembered_make_it_believe_less_not_more(monkeypatch):
    monkeypatch.setattr(tier_module, "_MOST_MARKS", 3)

    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier)
        for key in "abcdef":
            await pipeline.call(Script("old"), key)
        await asyncio.sleep(1.0)
        tier.delete = Scripted(ConnectionError()).delete
        for key in "abcde":
            cache.invalidate(key)
        await asyncio.sleep(11.0)
        assert [await pipeline.call(Script("new"), key) for key in "abcde"] == ["new"] * 5
        cache._shelf.entries.clear()
        assert await pipeline.call(Script("new"), "f") == "new"
        await asyncio.sleep(1.0)
        cache._shelf.entries.clear()
        assert [await pipeline.call(Script("never"), key) for key in "abcdef"] == ["new"] * 6

    run_virtual(main)


def test_what_came_while_it_was_invalidated_is_not_handed_on():
    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier)
        call = asyncio.create_task(pipeline.call(Script(after(5.0, "old")), "a"))
        await asyncio.sleep(1.0)
        cache.invalidate("a")
        await call
        await asyncio.sleep(1.0)
        assert tier.values == {}

        async def invalidates_at_once(query):
            loop.call_soon(cache.invalidate, query)
            return "old"

        await pipeline.call(invalidates_at_once, "b")
        await asyncio.sleep(1.0)
        assert tier.values == {}

        class SlowToWrite(InMemoryTier):
            async def set(self, key, value, ttl):
                await asyncio.sleep(0.02)
                await super().set(key, value, ttl)

        cache.update(tier=SlowToWrite(loop))
        await pipeline.call(Script("old"), "c")
        await asyncio.sleep(0.01)
        cache.invalidate("c")
        await asyncio.sleep(1.0)
        assert cache.options.tier.values == {}, "the store heard of the invalidation before it had the value"

    run_virtual(main)


def test_put_and_a_call_that_skips_the_cache_reach_the_tier():
    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier)
        cache.put("a", "put")
        cache.put("gone", "put", ttl=0)
        with skip_cache():
            await pipeline.call(Script("called"), "b")
        await asyncio.sleep(1.0)
        other, _, _ = replica(loop, tier)
        assert [await other.call(Script("never"), key) for key in "ab"] == ["put", "called"]
        assert len(tier.values) == 2

    run_virtual(main)


def test_plain_functions_leave_the_tier_alone():
    loop = VirtualLoop()
    tier = Scripted(ConnectionError())
    pipeline, _, _ = replica(loop, tier)
    assert pipeline.call_sync(Script("answer").sync, "a") == "answer"
    assert tier.script.calls == []
    loop.close()


def test_a_key_that_means_something_in_this_process_only_stays_local():
    async def main(loop):
        tier = InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, tier, key=None)

        async def local(query):
            return "answer"

        assert await pipeline.call(local, "a") == "answer"
        await asyncio.sleep(1.0)
        assert tier.values == {}
        assert cache.snapshot().entries == 1
        await pipeline.call(known_by_name, "a")
        await asyncio.sleep(1.0)
        assert len(tier.values) == 1

    run_virtual(main)


async def known_by_name(query):
    return query


def test_a_stale_value_of_the_tier_is_there_when_the_call_fails():
    async def main(loop):
        tier = InMemoryTier(loop)
        one, _, _ = replica(loop, tier, stale_if_error=1000.0)
        await one.call(Script("old"), "a")
        await asyncio.sleep(500.0)
        restarted, cache, _ = replica(loop, tier, stale_if_error=1000.0)
        with cache_outcome() as outcome:
            assert await restarted.call(Script(ConnectionError()), "a") == "old"
        assert (outcome.source, outcome.age) == ("stale", pytest.approx(500.0))
        assert cache.snapshot().tier_hits == 0
        strict, _, _ = replica(loop, tier)
        with pytest.raises(ConnectionError):
            await strict.call(Script(ConnectionError()), "a")

    run_virtual(main)


def test_a_refresh_takes_what_another_replica_has_renewed():
    async def main(loop):
        tier = InMemoryTier(loop)
        one, _, _ = replica(loop, tier, stale_while_revalidate=50.0)
        two, cache, _ = replica(loop, tier, stale_while_revalidate=50.0)
        await one.call(Script("old"), "a")
        await asyncio.sleep(1.0)
        await two.call(Script("never"), "a")
        await asyncio.sleep(100.0)
        await one.call(Script("new"), "a")
        await asyncio.sleep(1.0)
        assert await two.call(Script("never"), "a") == "old"
        await asyncio.sleep(1.0)
        assert cache.get("a") == "new"

    run_virtual(main)


def test_a_wall_clock_that_was_set_back_makes_no_value_younger_than_new():
    async def main(loop):
        tier = InMemoryTier(loop)
        await replica(loop, tier)[0].call(Script("old"), "a")
        await asyncio.sleep(1.0)
        loop.step_wall(-1e6)
        with cache_outcome() as outcome:
            await replica(loop, tier)[0].call(Script("never"), "a")
        assert outcome.age == 0.0
        loop.step_wall(2e6)
        assert await replica(loop, tier)[0].call(Script("new"), "a") == "new"

    run_virtual(main)


def test_the_tier_can_be_changed_at_run_time():
    async def main(loop):
        one, two = InMemoryTier(loop), InMemoryTier(loop)
        pipeline, cache, _ = replica(loop, one)
        await pipeline.call(Script("x"), "a")
        await asyncio.sleep(1.0)
        guard = cache._behind._guard
        cache.update(ttl=50.0)
        assert cache._behind._guard is guard, "what it has learnt of the tier stays"
        cache.update(tier=two)
        await pipeline.call(Script("x"), "b")
        await asyncio.sleep(1.0)
        assert (len(one.values), len(two.values)) == (1, 1)
        cache.update(tier=None)
        assert cache.snapshot().tier is None

    run_virtual(main)


def test_the_tier_in_memory_forgets_in_time():
    async def main(loop):
        tier = InMemoryTier(loop)
        await tier.set("a", b"1", 10.0)
        await tier.set("b", b"2", 20.0)
        assert await tier.get("a") == b"1"
        await asyncio.sleep(10.0)
        assert await tier.get("a") is None
        assert await tier.get("b") == b"2"
        await tier.delete("b")
        await tier.delete("b")
        assert await tier.get("b") is None
        await tier.set("c", b"3", 10.0)
        await tier.clear()
        assert tier.values == {}

    run_virtual(main)
