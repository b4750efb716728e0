"""When a breaker opens, probes and closes."""

import asyncio
from contextlib import suppress

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, CircuitOpen, Pipeline, Retry, Timeout
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import Script, hang, run_virtual
from support.toolkit.breakers import AnswerError, Upstream

# Opening


def test_the_defaults_are_those_of_the_guide():
    upstream = Upstream()
    upstream.fail(4)
    assert upstream.state == "CLOSED"
    upstream.fail()
    assert upstream.state == "OPEN"
    upstream.clock.advance(59.9)
    upstream.rejected()
    upstream.clock.advance(0.1)
    upstream.succeed()
    assert upstream.state == "HALF_OPEN"
    upstream.succeed()
    assert upstream.state == "CLOSED"


def test_failures_further_apart_than_the_window_do_not_add_up():
    upstream = Upstream(failure_threshold=3, window=10.0)
    for _ in range(20):
        upstream.fail()
        upstream.clock.advance(5.0)
    assert upstream.state == "CLOSED"


def test_successes_between_do_not_make_failures_forgotten():
    upstream = Upstream(failure_threshold=3)
    for _ in range(3):
        upstream.succeed(10)
        upstream.fail()
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "3 failures"


def test_the_last_calls_are_counted_however_long_ago():
    upstream = Upstream(failure_threshold=3, window_calls=5)
    upstream.fail(2)
    upstream.succeed(4)
    upstream.fail(2)
    assert upstream.state == "CLOSED"
    upstream.clock.advance(1e6)
    upstream.fail()
    assert upstream.state == "OPEN"


def test_in_a_row_means_that_a_success_starts_again():
    upstream = Upstream(trip_on="consecutive", failure_threshold=3)
    upstream.fail(2)
    upstream.succeed()
    upstream.fail(2)
    upstream.clock.advance(1e6)
    assert upstream.state == "CLOSED"
    upstream.fail()
    assert upstream.state == "OPEN"


@pytest.mark.parametrize("window", [{"window": 100.0}, {"window_calls": 50}])
def test_a_share_opens_it_once_there_are_enough_calls(window):
    upstream = Upstream(trip_on="rate", failure_rate=0.4, minimum_calls=10, **window)
    upstream.fail(5)
    upstream.succeed(4)
    assert upstream.state == "CLOSED"
    upstream.fail()
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "6 of 10 calls failed"


def test_a_share_below_the_limit_does_not_open_it():
    upstream = Upstream(trip_on="rate", failure_rate=0.5, minimum_calls=10)
    for _ in range(50):
        upstream.succeed(2)
        upstream.fail()
    assert upstream.state == "CLOSED"


@pytest.mark.parametrize("window", [{}, {"window_calls": 50}, {"trip_on": "rate"}])
def test_a_share_of_slow_calls_opens_it(window):
    upstream = Upstream(slow_call=2.0, slow_rate=0.5, minimum_calls=10, **window)
    upstream.succeed(5, took=2.0)
    upstream.succeed(4, took=2.1)
    assert upstream.state == "CLOSED"
    upstream.succeed(1, took=2.1)
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "5 of 10 calls were slow"
    assert upstream.changes[-1].error is None


def test_slow_failures_are_slow_too():
    upstream = Upstream(slow_call=2.0, minimum_calls=4, failure_threshold=50)
    upstream.succeed(2)
    upstream.fail(2, took=3.0)
    assert upstream.changes[-1].reason == "2 of 4 calls were slow"


def test_a_probe_that_is_slow_opens_it_again():
    upstream = Upstream(slow_call=2.0, minimum_calls=4, success_threshold=1)
    upstream.succeed(4, took=3.0)
    upstream.clock.advance(60)
    upstream.succeed(took=3.0)
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "a probe was slow"
    assert upstream.snapshot.failure_count == 0
    upstream.clock.advance(60)
    upstream.succeed(took=2.0)
    assert upstream.state == "CLOSED"


def test_a_single_failure_may_be_enough():
    upstream = Upstream(failure_threshold=1)
    upstream.fail()
    assert upstream.changes[-1].reason == "1 failure"


# Open


def test_a_rejection_says_who_refused_and_for_how_long():
    upstream = Upstream(failure_threshold=1)
    upstream.fail()
    upstream.clock.advance(20)
    rejection = upstream.rejected()
    assert (rejection.name, rejection.policy, rejection.retry_after) == ("upstream", "circuit_breaker", 40)
    assert str(rejection) == "upstream: the call was not made: the circuit breaker is open (circuit_breaker); try again in 40 s"
    assert upstream.snapshot.rejected == 1


def test_a_step_of_the_wall_clock_changes_nothing():
    upstream = Upstream(failure_threshold=1, success_threshold=1)
    upstream.fail()
    upstream.clock.step_wall(1e9)
    assert upstream.rejected().retry_after == 60
    upstream.clock.step_wall(-2e9)
    upstream.clock.advance(60)
    upstream.succeed()
    assert upstream.state == "CLOSED"


@pytest.mark.parametrize(
    ("wait", "options", "seconds"),
    [
        (90, {}, 90),
        (30, {}, 60),
        (90, {"honour_retry_after": False}, 60),
        (1e9, {}, 600),
        (float("inf"), {"max_reset_timeout": 100.0}, 100),
        (float("nan"), {}, 60),
        (-5, {}, 60),
        ("soon", {}, 60),
        (10**400, {}, 600),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_server_s_wait_is_honoured_within_bounds(wait, options, seconds):
    upstream = Upstream(failure_threshold=1, **options)
    upstream.fail(1, AnswerError(503, retry_after=wait))
    assert upstream.snapshot.retry_after == seconds


def test_the_break_grows_with_each_failed_probe_and_starts_again_after_a_closing():
    upstream = Upstream(failure_threshold=1, success_threshold=1, reset_timeout=10.0, reset_multiplier=3.0, max_reset_timeout=100.0)
    breaks = []
    for _ in range(5):
        upstream.fail()
        breaks.append(upstream.snapshot.retry_after)
        upstream.clock.advance(breaks[-1])
    assert breaks == pytest.approx([10, 30, 90, 100, 100])
    upstream.succeed()
    upstream.fail()
    assert upstream.snapshot.retry_after == 10


def test_the_break_does_not_overflow():
    upstream = Upstream(failure_threshold=1, reset_multiplier=1e300)
    for _ in range(20):
        upstream.fail()
        upstream.clock.advance(600)
    assert upstream.changes[-1].retry_after == 600


# Composition


def test_a_timeout_further_inside_counts_once_and_a_rejection_by_a_bulkhead_not_at_all():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", CircuitBreaker(failure_threshold=2), Bulkhead(max_concurrent=1, max_queue=0), Timeout(1.0), clock=loop
        )
        answers = await asyncio.gather(*(pipeline.call(Script(hang)) for _ in range(5)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["BulkheadFull"] * 4 + ["TimedOut"]
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 1

    run_virtual(main)


def test_an_outage_costs_only_probes_and_traffic_is_back_after_one_break_and_one_probe():
    async def main(loop):
        pipeline = Pipeline("upstream", Retry(), CircuitBreaker(), Timeout(1.0), clock=loop)
        calls, broken = [], True

        async def upstream():
            calls.append(loop.now())
            await asyncio.sleep(0.01)
            if broken:
                raise ConnectionError
            return "well"

        async def caller():
            for _ in range(3600):
                with suppress(ConnectionError, CircuitOpen):
                    await pipeline.call(upstream)
                await asyncio.sleep(1)

        task = asyncio.ensure_future(caller())
        await asyncio.sleep(600)
        assert len(calls) <= 5 + 10 * 2
        broken, back = False, loop.now()
        closed = []
        pipeline.subscribe(lambda change: change.state == "CLOSED" and closed.append(loop.now()), CircuitChanged)
        await asyncio.sleep(100)
        assert len(closed) == 1
        assert closed[0] - back <= 60 + 3
        task.cancel()

    run_virtual(main)
