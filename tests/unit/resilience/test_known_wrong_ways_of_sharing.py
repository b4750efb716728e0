"""Each was seen in a released cache, hedge, limiter or fallback. Each test says what happens here instead."""

import asyncio
import contextlib
import gc

import pytest

from sengol_api.resilience import (
    AdaptiveLimit,
    AdaptiveTimeout,
    Aimd,
    Bulkhead,
    Cache,
    CircuitBreaker,
    Fallback,
    Gradient2,
    Hedge,
    Overloaded,
    Pipeline,
    TimedOut,
    Timeout,
    Vegas,
    fallback_errors,
)
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from support.toolkit.tasks import started


def test_a_cancelled_leader_of_a_coalesced_call_harms_no_follower():
    async def main(loop):
        pipeline = Pipeline("upstream", Cache(key=lambda: "same"), clock=loop)
        upstream = Script(after(1.0, "answer"))
        leader, *followers = [await started(pipeline.call(upstream)) for _ in range(10)]
        await asyncio.sleep(0.5)
        leader.cancel()
        assert await asyncio.gather(*followers) == ["answer"] * 9
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_a_failed_call_is_not_kept_and_its_error_is_not_reported_as_unretrieved():
    reported = []

    async def main(loop):
        loop.set_exception_handler(lambda _, context: reported.append(context))
        pipeline = Pipeline("upstream", Cache(key=lambda: "same"), clock=loop)
        waiters = [await started(pipeline.call(Script(after(1.0, ConnectionError())))) for _ in range(3)]
        await asyncio.sleep(0.5)
        for waiter in waiters:
            waiter.cancel()
        await asyncio.sleep(2.0)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError()))
        assert await pipeline.call(Script("answer")) == "answer"

    run_virtual(main)
    gc.collect()
    assert reported == []


def test_a_spent_budget_does_not_kill_the_original_of_a_hedge():
    async def main(loop):
        pipeline = Pipeline("upstream", Hedge(idempotent=True, delay=0.1, budget=0.0), clock=loop)
        upstream = Script(after(1.0, "slow"))
        assert await pipeline.call(upstream) == "slow"
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_a_cancelled_loser_of_a_hedge_is_not_counted_as_a_success():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", Hedge(idempotent=True, delay=0.1, budget=1.0), AdaptiveLimit(), CircuitBreaker(), clock=loop
        )
        for _ in range(5):
            upstream = Script(after(9.0, "slow"), after(0.1, "fast"))
            assert await pipeline.call(Script("quick")) == "quick"
            assert await pipeline.call(upstream) == "fast"
            assert upstream.cancelled == 1
        assert pipeline.snapshot()["circuit_breaker"].success_count == 10
        assert pipeline.snapshot()["adaptive_limit"].in_flight == 0

    run_virtual(main)


def test_an_adaptive_timeout_widens_again_after_a_step_of_the_latency():
    async def main(loop):
        pipeline = Pipeline("upstream", AdaptiveTimeout(min_timeout=0.1, window=60.0), clock=loop)
        for _ in range(200):
            await pipeline.call(asyncio.sleep, 0.05)
        assert pipeline.snapshot()["adaptive_timeout"].limit < 0.2
        cut = 0
        for _ in range(200):
            try:
                await pipeline.call(asyncio.sleep, 2.0)
            except TimedOut:
                cut += 1
        assert pipeline.snapshot()["adaptive_timeout"].limit > 2.0
        assert cut < 50

    run_virtual(main)


@pytest.mark.parametrize("algorithm", [Gradient2(), Vegas(), Aimd(max_latency=0.2)], ids=lambda each: type(each).__name__)
def test_a_limit_comes_to_rest_under_a_steady_overload(algorithm):
    """Ten workers of 0.1 s, and three times as many calls as they can do: Gradient2 as published drifts to its maximum here."""

    async def main(loop):
        workers = asyncio.Semaphore(10)
        pipeline = Pipeline("upstream", AdaptiveLimit(algorithm=algorithm, max_limit=1000), clock=loop)
        limits = []

        async def work():
            async with workers:
                await asyncio.sleep(0.1)

        async def ask():
            with contextlib.suppress(Overloaded):
                await pipeline.call(work)

        async with asyncio.TaskGroup() as callers:
            for second in range(120):
                for _ in range(300):
                    callers.create_task(ask())
                    await asyncio.sleep(1 / 300)
                if second >= 60:
                    limits.append(pipeline.snapshot()["adaptive_limit"].limit)
        assert max(limits) <= 40

    run_virtual(main)


def test_a_constant_timeout_time_does_not_grow_the_limit():
    async def main(loop):
        pipeline = Pipeline("upstream", AdaptiveLimit(initial=50), Timeout(1.0), clock=loop)
        for _ in range(60):
            calls = [pipeline.call(Script(hang)) for _ in range(50)]
            await asyncio.gather(*calls, return_exceptions=True)
        assert pipeline.snapshot()["adaptive_limit"].limit < 10

    run_virtual(main)


def test_a_fallback_that_raises_leaks_nothing():
    def broken():
        raise RuntimeError("bug in an alternative")

    async def main(loop):
        pipeline = Pipeline("upstream", Bulkhead(max_concurrent=1, max_queue=0), Fallback({"broken": broken}), clock=loop)
        for _ in range(3):
            with pytest.raises(ConnectionError) as raised:
                await pipeline.call(Script(ConnectionError()))
            assert isinstance(fallback_errors(raised.value)["broken"], RuntimeError)
        assert pipeline.snapshot()["bulkhead"].in_flight == 0

    run_virtual(main)
