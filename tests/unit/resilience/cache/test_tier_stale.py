"""Stale and renewed values of a second tier."""

import asyncio

import pytest

from sengol_api.resilience.cache.scope import cache_outcome
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.testing import Script, run_virtual
from support.toolkit.tiers import replica


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
