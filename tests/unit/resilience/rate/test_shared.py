"""A rate limit that several replicas share through a store, and the store away."""

import asyncio

import pytest

from sengol_api.resilience import Pipeline, deadline
from sengol_api.resilience.rate.policy import RateLimit
from sengol_api.resilience.rate.shared import RateStoreBack, RateStoreLost
from sengol_api.resilience.rate.store import InMemoryRateStore
from sengol_api.resilience.testing import Script, run_virtual
from support.toolkit.rate_limits import passed
from support.toolkit.tasks import started


class Broken:
    """A store that raises, hangs or works, as it is told."""

    def __init__(self, inner):
        self.inner, self.mode, self.asked = inner, "works", 0

    async def _maybe(self):
        self.asked += 1
        if self.mode == "raises":
            raise ConnectionError("store")
        if self.mode == "hangs":
            await asyncio.get_running_loop().create_future()

    async def take(self, key, cost, interval, burst, max_wait):
        await self._maybe()
        return await self.inner.take(key, cost, interval, burst, max_wait)

    async def adjust(self, key, cost, interval, burst):
        await self._maybe()
        return await self.inner.adjust(key, cost, interval, burst)


def replicas(loop, count, **options):
    store = Broken(InMemoryRateStore(loop))
    return store, [Pipeline("api", RateLimit(**{"rate": 10, "store": store, **options}), clock=loop) for _ in range(count)]


def test_with_a_store_the_limit_holds_for_all_replicas_together():
    async def main(loop):
        store, pipelines = replicas(loop, 4)
        assert await passed(pipelines, 10) == 10
        assert pipelines[0].snapshot()["rate_limit"].store == "shared"
        assert len(store.inner) == 1

    run_virtual(main)


@pytest.mark.parametrize("mode", ["raises", "hangs"])
def test_while_the_store_is_away_each_replica_limits_by_itself_and_no_call_waits_long(mode):
    async def main(loop):
        store, pipelines = replicas(loop, 4)
        store.mode = mode
        assert await passed(pipelines, 20) == 40
        assert loop.now() - 1000.0 <= 0.051
        for _ in range(2):
            await passed(pipelines, 1)
        assert pipelines[0].snapshot()["rate_limit"].store == "away"

    run_virtual(main)


def test_a_moments_silence_of_the_store_is_one_failure_however_many_calls_fall_into_it():
    async def main(loop):
        store, [pipeline] = replicas(loop, 1, rate=1000)
        store.mode = "hangs"
        assert await passed([pipeline], 50) == 50
        store.mode = "works"
        await pipeline.call(Script())
        assert pipeline.snapshot()["rate_limit"].store == "shared"
        assert store.asked == 51

    run_virtual(main)


def test_when_the_store_goes_away_each_replica_goes_on_from_what_it_said_last():
    async def main(loop):
        store, pipelines = replicas(loop, 4)
        assert await passed(pipelines, 10) == 10
        store.mode = "raises"
        assert await passed(pipelines, 10) == 0, "nobody gets a second burst"
        await asyncio.sleep(0.35)
        assert await passed(pipelines, 10) == 4 * 3

    run_virtual(main)


def test_a_busy_event_loop_does_not_take_its_own_lateness_for_the_stores_silence():
    class Prompt(InMemoryRateStore):
        """Answers after ten milliseconds."""

        async def take(self, *asked):
            await asyncio.sleep(0.01)
            return await super().take(*asked)

    async def main(loop):
        pipeline = Pipeline("api", RateLimit(1, store=Prompt(loop), store_timeout=0.05), clock=loop)
        for _ in range(10):
            asking = await started(pipeline["rate_limit"].acquire_shared("user", 0))
            await asyncio.sleep(0)
            loop.jump(1.0)  # other work held the loop
            await asking
        assert pipeline.snapshot()["rate_limit"].store_errors == 0

    run_virtual(main)


def test_a_store_that_failed_in_a_row_is_left_alone_then_asked_by_one_call_and_used_again():
    async def main(loop):
        store, [pipeline] = replicas(loop, 1, rate=1000, store_failures=3, store_cooldown=5.0)
        told = []
        pipeline.subscribe(told.append)
        store.mode = "raises"
        for _ in range(10):
            await pipeline.call(Script())
        assert store.asked == 3
        assert [type(event) for event in told] == [RateStoreLost]
        assert isinstance(told[0].error, ConnectionError)
        await asyncio.sleep(5.1)
        store.mode = "hangs"
        assert await passed([pipeline], 10) == 10
        assert store.asked == 4
        await asyncio.sleep(5.1)
        store.mode = "works"
        for _ in range(10):
            await pipeline.call(Script())
        assert store.asked == 14
        assert [type(event) for event in told] == [RateStoreLost, RateStoreBack]
        assert pipeline.snapshot()["rate_limit"].store_errors == 4

    run_virtual(main)


def test_one_failure_of_the_store_between_answers_does_not_end_its_use():
    async def main(loop):
        store, [pipeline] = replicas(loop, 1, rate=1000, store_failures=2)
        told = []
        pipeline.subscribe(told.append)
        for mode in ["raises", "works"] * 5:
            store.mode = mode
            await pipeline.call(Script())
        assert store.asked == 10
        assert told == []

    run_virtual(main)


def test_a_caller_with_hardly_any_time_left_does_not_make_the_store_look_bad():
    async def main(loop):
        store, [pipeline] = replicas(loop, 1, store_failures=1)
        store.mode = "hangs"
        with deadline(0.01, clock=loop):
            decision = await pipeline["rate_limit"].acquire_shared()
        assert decision.allowed
        assert pipeline.snapshot()["rate_limit"].store == "shared"
        assert pipeline.snapshot()["rate_limit"].store_errors == 0

    run_virtual(main)


def test_a_cancelled_call_is_no_failure_of_the_store():
    async def main(loop):
        store, [pipeline] = replicas(loop, 1, store_failures=1)
        store.mode = "hangs"
        task = await started(pipeline.call(Script()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pipeline.snapshot()["rate_limit"].store == "shared"

    run_virtual(main)


def test_a_turn_of_the_store_is_waited_for_and_stays_taken_when_the_call_is_cancelled():
    async def main(loop):
        _, [pipeline] = replicas(loop, 1, burst=1, max_wait=1.0)
        await pipeline.call(Script())
        task = await started(pipeline.call(Script()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await pipeline.call(Script())
        assert loop.now() == pytest.approx(1000.2)

    run_virtual(main)


def test_units_are_reserved_and_settled_in_the_store_of_all_replicas():
    async def main(loop):
        store, pipelines = replicas(loop, 2, rate=100, period=100.0)
        here, there = (pipeline["rate_limit"] for pipeline in pipelines)
        assert (await here.acquire_shared("user", 60)).remaining == 40
        await there.settle_shared("user", reserved=60, used=80)
        assert (await here.acquire_shared("user", 0)).remaining == pytest.approx(20)
        await there.refund_shared("user", 30)
        assert (await here.acquire_shared("user", 0)).remaining == pytest.approx(50)
        store.mode = "raises"
        assert (await here.acquire_shared("user", 40)).allowed  # of the fifty that it knows of
        await here.refund_shared("user", 10)
        assert here.acquire("user", 0).remaining == pytest.approx(20)

    run_virtual(main)


def test_without_a_store_the_shared_forms_are_the_replicas_own():
    async def main(loop):
        limit = Pipeline("tokens", RateLimit(100, period=100.0), clock=loop)["rate_limit"]
        assert (await limit.acquire_shared("user", 60)).allowed
        await limit.settle_shared("user", 60, 100)
        assert not limit.acquire("user", 1).allowed
        assert limit.snapshot().store == "none"

    run_virtual(main)
