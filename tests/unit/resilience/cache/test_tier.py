"""The second tier: shared, and never trusted with anybody's time."""

import asyncio
import gc

import pytest

from sengol_api.resilience.cache.scope import cache_outcome, skip_cache
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.testing import Script, VirtualLoop, after, hang, run_virtual
from support.toolkit.tiers import Scripted, replica


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
