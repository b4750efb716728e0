"""What is believed of a second tier, and what it is asked, at the moments that decide it."""

import asyncio
import contextlib
import gc

import pytest

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.states import TierFailed
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.errors import OptionsError, TimedOut
from sengol_api.resilience.testing import Script, hang, run_virtual
from support.toolkit.tasks import settle
from support.toolkit.watched_tiers import Tier, ask, replica

# What it is asked


def test_a_tier_that_is_left_alone_fails_no_more():
    async def main(loop):
        pipeline, cache = replica(loop, Tier(loop, "get"), tier_failures=3)
        for number in range(10):
            await ask(pipeline, "value", query=f"{number}")
        assert cache.snapshot().tier_errors == 3

    run_virtual(main)


def test_keys_that_mean_nothing_elsewhere_never_reach_it():
    class Local:
        async def ask(self):
            return "value"

    async def main(loop):
        tier = Tier(loop)
        pipeline, cache = replica(loop, tier, key=None)
        asked = Local()
        assert await pipeline.call(asked.ask) == "value"
        await settle()
        cache.invalidate(("a key", Local))
        await settle()
        assert tier.asked == []

    run_virtual(main)


def test_a_value_with_a_short_life_is_handed_on_as_well():
    async def main(loop):
        tier = Tier(loop)
        one, _ = replica(loop, tier, ttl=0.5)
        await ask(one, "value")
        assert await ask(replica(loop, tier)[0], "never") == "value"

    run_virtual(main)


@pytest.mark.parametrize("options", [{"copy": lambda value: 1 / 0}, {"size_of": lambda value: 1 / 0}], ids=["copy", "size"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_not_kept_here_is_not_handed_on(options):
    async def main(loop):
        tier = Tier(loop)
        await ask(replica(loop, tier, **options)[0], ["value"])
        assert tier.values == {}

    run_virtual(main)


def test_what_was_put_took_no_time_to_make_for_other_replicas_either():
    async def main(loop):
        tier = Tier(loop)
        _, cache = replica(loop, tier)
        cache.put("a", "value")
        await settle()
        other, state = replica(loop, tier, early_refresh=1e6)
        for _ in range(2):
            assert await ask(other, "never") == "value"
        assert state.snapshot().refreshes == 0

    run_virtual(main)


def test_one_probe_is_enough_to_see_whether_it_is_back():
    async def main(loop):
        tier = Tier(loop, "get")
        pipeline, _ = replica(loop, tier, tier_failures=1, tier_cooldown=10.0)
        await ask(pipeline, "value")
        await asyncio.sleep(10.0)
        tier.asked.clear()
        frozen = loop.create_future()
        tier._asked = tier.asked.append
        tier.get = lambda key: (tier.asked.append("get"), frozen)[1]
        await asyncio.gather(*(pipeline.call(Script("value"), query) for query in "bcd"))
        assert tier.asked.count("get") == 1

    run_virtual(main)


@pytest.mark.parametrize(("asked", "kept"), [(300.0, 300.0), (1e6, 600.0)])
def test_a_tier_that_asks_for_time_gets_it_up_to_ten_minutes(asked, kept):
    class BusyError(Exception):
        retry_after = asked

    async def main(loop):
        tier = Tier(loop, "get", error=BusyError)
        pipeline, cache = replica(loop, tier, tier_failures=1, tier_cooldown=10.0)
        await ask(pipeline, "value", query="a")
        await asyncio.sleep(kept - 1.0)
        await ask(pipeline, "value", query="b")
        assert tier.asked.count("get") == 1
        await asyncio.sleep(1.0)
        await ask(pipeline, "value", query="c")
        assert tier.asked.count("get") == 2
        assert cache.snapshot().tier == "OPEN"

    run_virtual(main)


def test_only_what_has_all_four_methods_is_a_tier():
    class Half:
        async def get(self, key):
            return None

    with pytest.raises(OptionsError, match="a tier with get, set, delete and clear"):
        Cache(tier=Half())


# What is left behind


def test_an_access_that_took_too_long_says_so_and_leaves_no_message():
    async def main(loop):
        told, messages = [], []
        loop.set_exception_handler(lambda _, context: messages.append(context["message"]))

        class Slow(Tier):
            async def get(self, key):
                if key.endswith(self.late):
                    try:
                        await loop.create_future()
                    except asyncio.CancelledError:
                        raise ConnectionError("of its clean-up") from None
                await Script(hang)()

        tier = Slow(loop)
        pipeline, _ = replica(loop, tier, tier_failures=100)
        pipeline.subscribe(told.append, TierFailed)
        for tier.late in ("", "no key ends so"):
            await ask(pipeline, "value", query=f"with {tier.late}")
        assert [type(event.error) for event in told] == [TimedOut, TimedOut]
        told.clear()  # their tracebacks hold the accesses
        gc.collect()
        await settle()
        assert messages == []

    run_virtual(main)


def test_an_access_that_ignores_its_end_is_not_torn_down_in_the_middle_of_its_work():
    async def main(loop):
        messages = []
        loop.set_exception_handler(lambda _, context: messages.append(context["message"]))

        class Stubborn(Tier):
            async def get(self, key):
                with contextlib.suppress(asyncio.CancelledError):
                    await loop.create_future()
                await loop.create_future()

        pipeline, _ = replica(loop, Stubborn(loop))
        await ask(pipeline, "value")
        gc.collect()
        assert messages == []

    run_virtual(main)


def test_a_tier_in_memory_forgets_what_has_ended():
    async def main(loop):
        tier = InMemoryTier(loop)
        await tier.set("a", b"value", 1.0)
        await asyncio.sleep(1.0)
        assert await tier.get("a") is None
        assert tier.values == {}

    run_virtual(main)
