"""The rate limit around calls."""

import asyncio
import threading

import pytest

from sengol_api.resilience import OptionsError, Pipeline, RateLimited, deadline
from sengol_api.resilience.events import CallRejected
from sengol_api.resilience.rate.policy import RateLimit
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.ids import stable
from support.toolkit.tasks import started


def by_user(args, kwargs):
    return kwargs["user"]


def by_tokens(args, kwargs):
    return kwargs["tokens"]


def answer(**_):
    return "answer"


def test_a_call_over_the_rate_is_refused_and_told_exactly_when_to_come_back():
    clock, told = ManualClock(), []
    pipeline = Pipeline("api", RateLimit(2, burst=2), clock=clock)
    pipeline.subscribe(told.append, CallRejected)
    for _ in range(2):
        assert pipeline.call_sync(answer) == "answer"
    with pytest.raises(RateLimited, match="api: the call is over the rate limit") as refused:
        pipeline.call_sync(answer)
    assert refused.value.retry_after == pytest.approx(0.5)
    assert told[0].error is refused.value
    clock.advance(refused.value.retry_after)
    assert pipeline.call_sync(answer) == "answer"


def test_calls_of_coroutines_and_plain_functions_count_together():
    async def main(loop):
        pipeline = Pipeline("api", RateLimit(2), clock=loop)
        assert await pipeline.call(Script("well")) == "well"
        assert pipeline.call_sync(answer) == "answer"
        with pytest.raises(RateLimited):
            await pipeline.call(Script("well"))

    run_virtual(main)


def test_each_key_has_a_limit_of_its_own():
    pipeline = Pipeline("api", RateLimit(1, key=by_user), clock=ManualClock())
    pipeline.call_sync(answer, user="a")
    pipeline.call_sync(answer, user="b")
    with pytest.raises(RateLimited):
        pipeline.call_sync(answer, user="a")
    assert pipeline.snapshot()["rate_limit"].keys == 2


def test_a_call_costs_what_its_cost_function_says():
    pipeline = Pipeline("api", RateLimit(1000, period=60.0, cost=by_tokens), clock=ManualClock())
    pipeline.call_sync(answer, tokens=900)
    with pytest.raises(RateLimited) as refused:
        pipeline.call_sync(answer, tokens=200)
    assert refused.value.retry_after == pytest.approx(6.0)
    pipeline.call_sync(answer, tokens=100)


def test_a_cost_above_the_burst_is_refused_for_good_and_says_why():
    pipeline = Pipeline("api", RateLimit(10, cost=by_tokens, max_wait=100.0), clock=ManualClock())
    with pytest.raises(RateLimited, match="costs 11 units, and no more than 10") as refused:
        pipeline.call_sync(answer, tokens=11)
    assert refused.value.retry_after is None


@pytest.mark.parametrize("given", [float("nan"), -1, "many", None, float("inf")], ids=str)
def test_a_senseless_cost_counts_as_one_unit_and_is_reported(given, monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", shown.append)
    pipeline = Pipeline("api", RateLimit(1, cost=lambda args, kwargs: given), clock=ManualClock())
    pipeline.call_sync(answer)
    with pytest.raises(RateLimited):
        pipeline.call_sync(answer)
    assert "gave no cost" in shown[0].err_msg


@pytest.mark.parametrize("key", [lambda args, kwargs: kwargs["missing"], lambda args, kwargs: []], ids=["raises", "unhashable"])
def test_calls_whose_key_cannot_be_told_share_one_limit_and_it_is_reported(key, monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", shown.append)
    pipeline = Pipeline("api", RateLimit(1, key=key), clock=ManualClock())
    pipeline.call_sync(answer, user="a")
    with pytest.raises(RateLimited):
        pipeline.call_sync(answer, user="b")
    assert "gave no key" in shown[0].err_msg


def test_a_call_that_may_wait_gets_its_turn_in_the_order_of_arrival():
    async def main(loop):
        pipeline, began, order = Pipeline("api", RateLimit(10, burst=1, max_wait=1.0), clock=loop), loop.now(), []

        async def work(number):
            order.append((number, round(loop.now() - began, 6)))

        done = await asyncio.gather(*(pipeline.call(work, number) for number in range(13)), return_exceptions=True)
        assert order == [(number, pytest.approx(number / 10)) for number in range(11)]
        assert [round(error.retry_after, 6) for error in done[11:]] == [1.1, 1.1]
        snapshot = pipeline.snapshot()["rate_limit"]
        assert (snapshot.allowed, snapshot.waited, snapshot.rejected) == (11, 10, 2)

    run_virtual(main)


def test_a_plain_function_waits_for_its_turn():
    clock = ManualClock()
    pipeline = Pipeline("api", RateLimit(10, burst=1, max_wait=1.0), clock=clock)
    for _ in range(3):
        pipeline.call_sync(answer)
    assert clock.slept == [pytest.approx(0.1), pytest.approx(0.1)]


def test_nobody_waits_past_the_deadline():
    async def main(loop):
        pipeline = Pipeline("api", RateLimit(1, max_wait=60.0), clock=loop)
        await pipeline.call(Script())
        with deadline(0.5, clock=loop), pytest.raises(RateLimited) as refused:
            await pipeline.call(Script())
        assert refused.value.retry_after == pytest.approx(1.0)
        assert loop.now() == pytest.approx(1000.0)

    run_virtual(main)


def test_a_call_that_is_cancelled_while_it_waits_gives_its_turn_back():
    async def main(loop):
        pipeline = Pipeline("api", RateLimit(1, max_wait=60.0), clock=loop)
        await pipeline.call(Script())
        for _ in range(20):
            waiting = await started(pipeline.call(Script()))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await pipeline.call(Script("my turn"))
        assert loop.now() == pytest.approx(1001.0)

    run_virtual(main)


def test_an_interrupt_while_a_plain_function_waits_gives_its_turn_back():
    class Interrupted(ManualClock):
        def wait(self, event, seconds):
            if self.slept:
                return super().wait(event, seconds)
            self.slept.append(0)
            raise KeyboardInterrupt

    clock = Interrupted()
    pipeline = Pipeline("api", RateLimit(1, max_wait=60.0), clock=clock)
    pipeline.call_sync(answer)
    with pytest.raises(KeyboardInterrupt):
        pipeline.call_sync(answer)
    pipeline.call_sync(answer)
    assert clock.slept == [0, pytest.approx(1.0)]


def test_eight_threads_get_exactly_the_burst():
    pipeline, together, passed = Pipeline("api", RateLimit(100, period=3600.0), clock=ManualClock()), threading.Barrier(8), []

    def work():
        together.wait()
        for _ in range(50):
            try:
                pipeline.call_sync(passed.append, 1)
            except RateLimited:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = pipeline.snapshot()["rate_limit"]
    assert (len(passed), snapshot.allowed, snapshot.rejected) == (100, 100, 300)


def test_it_can_be_asked_without_a_call():
    clock = ManualClock()
    limit = Pipeline("tokens", RateLimit(100, period=100.0), clock=clock)["rate_limit"]
    assert limit.acquire("user", 60).remaining == 40
    refused = limit.acquire("user", 60)
    assert not refused.allowed
    assert refused.retry_after == pytest.approx(20.0)
    assert limit.acquire("user", 0).remaining == 40
    assert limit.acquire("other", 60).allowed


def test_what_was_reserved_before_a_call_is_settled_after_it():
    limit = Pipeline("tokens", RateLimit(100, period=100.0), clock=ManualClock())["rate_limit"]
    limit.acquire("thrifty", 60)
    limit.settle("thrifty", reserved=60, used=10)
    assert limit.acquire("thrifty", 0).remaining == 90
    limit.acquire("lavish", 60)
    limit.settle("lavish", reserved=60, used=150)
    owed = limit.acquire("lavish", 1)
    assert not owed.allowed
    assert owed.retry_after == pytest.approx(51.0)
    limit.refund("thrifty", 10)
    assert limit.acquire("thrifty", 0).remaining == 100


@pytest.mark.parametrize("cost", [-1, float("nan"), "many"], ids=str)
def test_a_senseless_cost_is_refused_where_it_is_given_by_hand(cost):
    limit = Pipeline("tokens", RateLimit(100), clock=ManualClock())["rate_limit"]
    for ask in (lambda: limit.acquire("key", cost), lambda: limit.refund("key", cost), lambda: limit.settle("key", cost, 1)):
        with pytest.raises(ValueError, match="is not allowed, it takes a number of at least 0"):
            ask()


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 0},
        {"rate": -1},
        {"rate": float("nan")},
        {"rate": 1, "burst": 0.5},
        {"rate": 1, "period": 0},
        {"rate": 1, "max_wait": -1},
        {"rate": 1, "store": object()},
        {"rate": 1, "store_timeout": 0},
        {"rate": 1e300},
        {"rate": 1e-300},
        {"rate": 1, "key": "user"},
        {"rate": 1, "max_keys": 0},
    ],
    ids=stable,
)
def test_senseless_options_are_refused(options):
    with pytest.raises(OptionsError):
        RateLimit(**options)


def test_less_than_one_in_a_period_still_lets_a_call_through():
    clock = ManualClock()
    pipeline = Pipeline("api", RateLimit(0.1), clock=clock)
    pipeline.call_sync(answer)
    with pytest.raises(RateLimited) as refused:
        pipeline.call_sync(answer)
    assert refused.value.retry_after == pytest.approx(10.0)


def test_the_rate_can_be_changed_at_run_time():
    pipeline = Pipeline("api", RateLimit(1, period=86400.0), clock=ManualClock())
    pipeline.call_sync(answer)
    pipeline["rate_limit"].update(period=1.0)
    with pytest.raises(RateLimited) as refused:
        pipeline.call_sync(answer)
    assert refused.value.retry_after == pytest.approx(1.0)


def test_it_serves_two_event_loops_in_a_row():
    pipeline = Pipeline("api", RateLimit(1000, burst=1, max_wait=1.0))

    async def main():
        return await asyncio.gather(*(pipeline.call(asyncio.sleep, 0, number) for number in range(3)))

    assert asyncio.run(main()) == asyncio.run(main()) == [0, 1, 2]
