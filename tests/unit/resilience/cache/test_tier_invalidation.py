"""What was invalidated is not brought back by a second tier."""

import asyncio

from sengol_api.resilience.cache import tier as tier_module
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.testing import Script, VirtualLoop, after, run_virtual
from support.toolkit.tiers import Scripted, replica


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
