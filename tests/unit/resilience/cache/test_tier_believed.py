"""What a cache believes of its second tier."""

import asyncio
import math

import pytest

from sengol_api.resilience.cache import tier as tier_module
from sengol_api.resilience.testing import Script, run_virtual
from support.toolkit.tasks import settle
from support.toolkit.watched_tiers import Tier, ask, replica


def test_a_value_of_another_replica_ends_when_it_would_have_there():
    async def main(loop):
        tier = Tier(loop)
        await ask(replica(loop, tier, stale_if_error=50.0)[0], "old")
        await asyncio.sleep(100.0)
        assert await ask(replica(loop, tier, stale_if_error=50.0)[0], "new") == "new"

    run_virtual(main)


def test_what_is_past_its_last_stale_window_takes_no_room():
    async def main(loop):
        tier = Tier(loop)
        await ask(replica(loop, tier, stale_if_error=50.0)[0], "old")
        tier.values = {key: (value, math.inf) for key, (value, _) in tier.values.items()}  # one that is late to forget
        await asyncio.sleep(150.0)
        pipeline, cache = replica(loop, tier, stale_if_error=50.0)
        with pytest.raises(ConnectionError):
            await ask(pipeline, ConnectionError())
        assert cache.snapshot().entries == 0

    run_virtual(main)


def test_what_was_made_at_the_very_moment_of_its_invalidation_is_not_believed():
    async def main(loop):
        tier = Tier(loop, "delete")
        one, _ = replica(loop, tier)
        other, cache = replica(loop, tier)
        await ask(one, "old")
        cache.invalidate("a")
        await settle()
        assert await ask(other, "new") == "new"

    run_virtual(main)


def test_an_invalidation_of_one_key_leaves_the_others_believed():
    async def main(loop):
        tier = Tier(loop)
        one, _ = replica(loop, tier)
        other, cache = replica(loop, tier)
        await ask(one, "value", query="b")
        await asyncio.sleep(1.0)
        cache.invalidate("a")
        assert await ask(other, "never", query="b") == "value"

    run_virtual(main)


def test_after_a_clear_nothing_older_is_believed_even_if_the_tier_could_not_be_told():
    async def main(loop):
        tier = Tier(loop, "clear")
        one, _ = replica(loop, tier)
        other, cache = replica(loop, tier)
        cache.invalidate("a")
        await settle()
        await asyncio.sleep(1.0)
        for query in "ab":
            await ask(one, "old", query=query)
        await asyncio.sleep(1.0)
        cache.clear()
        await settle()
        for query in "ab":
            assert await ask(other, "new", query=query) == "new"

    run_virtual(main)


def test_a_value_on_its_way_to_the_tier_does_not_arrive_after_a_clear():
    async def main(loop):
        tier = Tier(loop, "clear")
        pipeline, cache = replica(loop, tier)
        await pipeline.call(Script("old"), "a")
        cache.clear()
        await settle()
        assert tier.values == {}

    run_virtual(main)


@pytest.mark.parametrize(("invalidated", "believed"), [("abc", True), ("abac", True), ("abcd", False)])
def test_of_many_invalidations_the_oldest_are_forgotten_and_nothing_so_old_believed(monkeypatch, invalidated, believed):
    monkeypatch.setattr(tier_module, "_MOST_MARKS", 2)

    async def main(loop):
        tier = Tier(loop)
        one, _ = replica(loop, tier)
        other, cache = replica(loop, tier)
        for number, query in enumerate(invalidated):
            cache.invalidate(query)
            await asyncio.sleep(1.0)
            if number == invalidated.count("a") - 1:
                await ask(one, "value", query="x")
        assert (await ask(other, "new", query="x") == "value") is believed

    run_virtual(main)
