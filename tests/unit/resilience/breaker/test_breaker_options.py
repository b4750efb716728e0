"""Options of a circuit breaker, at the start and at run time."""

import asyncio

import pytest

from sengol_api.resilience import CircuitBreaker, OptionsError, Pipeline
from sengol_api.resilience.testing import Script, after, run_virtual
from support.toolkit.breakers import Upstream
from support.toolkit.tasks import started


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"failure_threshold": 0}, "failure_threshold=0 is not allowed"),
        ({"success_threshold": True}, "success_threshold=True is not allowed"),
        ({"reset_timeout": -1}, "reset_timeout=-1 is not allowed, it takes a number above 0"),
        ({"window": float("nan")}, "window=nan is not allowed"),
        ({"trip_on": "luck"}, "it takes one of count, consecutive, rate"),
        ({"failure_rate": 0}, "failure_rate=0 is not allowed"),
        ({"max_probes": 0}, "max_probes=0 is not allowed"),
        ({"failure_on": 500}, "failure_on=500 is not allowed"),
        ({"failure_threshold": 6, "window_calls": 5}, "it could never open; take at most 5"),
        ({"trip_on": "rate", "window_calls": 5}, "minimum_calls=20 is above window_calls=5"),
        ({"slow_call": 1.0, "window_calls": 5}, "minimum_calls=20 is above window_calls=5"),
        ({"trip_on": "consecutive", "slow_call": 1.0}, "take 'count' or 'rate'"),
        ({"reset_timeout": 601.0}, "reset_timeout=601 is above max_reset_timeout=600"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(OptionsError) as refused:
        CircuitBreaker(**options)
    assert told in str(refused.value)


def test_a_threshold_above_the_window_is_fine_where_it_plays_no_part():
    CircuitBreaker(trip_on="rate", window_calls=5, minimum_calls=5, failure_threshold=50)
    CircuitBreaker(trip_on="consecutive", window_calls=5, failure_threshold=50)


def test_a_call_that_began_untimed_is_not_slow_once_times_are_taken():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(minimum_calls=1), clock=loop)
        calls = [await started(pipeline.call(Script(after(1.0, "well")))) for _ in range(5)]
        pipeline["circuit_breaker"].update(slow_call=5.0)
        await asyncio.gather(*calls)
        assert pipeline["circuit_breaker"].state == "CLOSED"

    run_virtual(main)


def test_what_was_counted_stays_when_other_options_change_and_goes_when_its_meaning_does():
    upstream = Upstream(failure_threshold=5)
    upstream.fail(3)
    upstream.breaker.update(reset_timeout=30.0)
    assert upstream.snapshot.recent_failures == 3
    upstream.breaker.update(window=60.0)
    assert upstream.snapshot.recent_failures == 0
    upstream.fail(5)
    assert upstream.rejected().retry_after == 30


def test_refused_options_leave_the_old_ones():
    upstream = Upstream(failure_threshold=2)
    with pytest.raises(OptionsError):
        upstream.breaker.update(reset_timeout=1e6)
    upstream.fail(2)
    assert upstream.rejected().retry_after == 60


def test_more_probes_and_another_threshold_hold_at_once():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=1, success_threshold=5), clock=loop)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        work = Script(after(1.0, "well"))
        probes = [await started(pipeline.call(work))]
        pipeline["circuit_breaker"].update(max_probes=3, success_threshold=2)
        probes += [await started(pipeline.call(work)) for _ in range(2)]
        await asyncio.gather(*probes)
        assert pipeline["circuit_breaker"].state == "CLOSED"

    run_virtual(main)
