"""A time limit that follows the latency of the service: up and down, and only because of the service."""

import asyncio
import threading
from random import Random

import pytest

from sengol_api.resilience import CircuitBreaker, DeadlineExceeded, OptionsError, Pipeline, TimedOut, deadline
from sengol_api.resilience.adaptive_timeout import AdaptiveTimeout, LimitMoved
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, hang, run_virtual
from sengol_api.resilience.timeout import AttemptLate, AttemptTimedOut
from support.threads import in_threads
from support.toolkit.adaptive_timeouts import calls, limit, pipeline


def test_the_limit_is_the_quantile_times_the_factor():
    async def main(loop):
        upstream = pipeline(loop)
        assert limit(upstream) == 30.0
        await calls(upstream, 0.2, 24)
        assert limit(upstream) == pytest.approx(0.4, rel=0.03)
        start = loop.now()
        with pytest.raises(TimedOut) as error:
            await upstream.call(Script(hang))
        assert loop.now() - start == pytest.approx(0.4, rel=0.05)
        assert error.value.policy == "adaptive_timeout"
        snapshot = upstream.snapshot()["adaptive_timeout"]
        assert (snapshot.timed_out, snapshot.late, snapshot.samples) == (1, 0, 25)
        assert snapshot.observed == pytest.approx(0.2, rel=0.03)

    run_virtual(main)


def test_the_limit_stays_between_its_bounds():
    async def main(loop):
        fast, slow = pipeline(loop, min_timeout=0.5), pipeline(loop, max_timeout=3.0)
        await calls(fast, 0.001, 20, pause=0.1)
        await calls(slow, 2.5, 20)
        assert limit(fast) == 0.5
        assert limit(slow) == 3.0

    run_virtual(main)


@pytest.mark.parametrize("pause", [0.0, 0.1, 1.0])
def test_an_adaptive_timeout_that_learns_only_from_successes_would_never_widen_again_this_one_follows_a_step(pause):
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 0.05, 600, pause)
        assert limit(upstream) == pytest.approx(0.1, rel=0.03)
        start = loop.now()
        while await calls(upstream, 2.0, 1, pause):
            assert loop.now() - start < 60.0, "every call is cut, and the limit stays below the latency"
        assert await calls(upstream, 2.0, 40, pause) <= 2
        assert limit(upstream) > 2.0

    run_virtual(main)


def test_the_limit_follows_a_service_that_becomes_fast_again():
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 2.0, 30)
        assert limit(upstream) == pytest.approx(4.0, rel=0.03)
        await calls(upstream, 0.2, 80, pause=1.0)
        assert limit(upstream) == pytest.approx(0.4, rel=0.03)

    run_virtual(main)


def test_a_steady_long_tail_does_not_make_the_limit_drift():
    async def main(loop):
        upstream, chance = pipeline(loop), Random(7)
        seen = []
        for _ in range(3000):
            await calls(upstream, 0.1 * chance.lognormvariate(0, 1), 1, pause=0.02)
            seen.append(limit(upstream))
        settled = seen[500:]
        assert min(settled) > 0.7  # 2 * 0.1 * e ** 1.645 = 1.04
        assert max(settled) < 1.5

    run_virtual(main)


def test_what_was_learnt_is_forgotten_by_the_clock_with_no_call_at_all():
    async def main(loop):
        upstream = pipeline(loop, initial=3.0)
        await calls(upstream, 0.05, 100)
        assert limit(upstream) == pytest.approx(0.1, rel=0.03)
        await asyncio.sleep(60.0)
        assert limit(upstream) == 3.0

    run_virtual(main)


def test_stepping_the_wall_clock_changes_nothing():
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 0.05, 100)
        loop.step_wall(-86_400.0)
        await asyncio.sleep(1.0)
        assert limit(upstream) == pytest.approx(0.1, rel=0.03)

    run_virtual(main)


def test_an_inner_timeout_error_is_not_taken_for_a_cut():
    async def main(loop):
        upstream = pipeline(loop)
        with pytest.raises(TimeoutError, match="the work's own"):
            await upstream.call(Script(after(0.1, TimeoutError("the work's own"))))
        assert upstream.snapshot()["adaptive_timeout"].timed_out == 0

    run_virtual(main)


def test_a_cut_counts_as_one_failure_of_the_breaker_around_it():
    async def main(loop):
        upstream = Pipeline("upstream", CircuitBreaker(), AdaptiveTimeout(initial=1.0), clock=loop)
        with pytest.raises(TimedOut):
            await upstream.call(Script(hang))
        assert upstream.snapshot()["circuit_breaker"].failure_count == 1

    run_virtual(main)


def test_listeners_hear_of_cuts_and_of_limits_that_moved_by_more_than_a_fifth():
    async def main(loop):
        upstream = pipeline(loop)
        heard = []
        upstream.subscribe(heard.append)
        await calls(upstream, 0.2, 60)
        await calls(upstream, 0.21, 200)
        assert [(type(each), each.before, round(each.limit, 1)) for each in heard] == [(LimitMoved, 30.0, 0.4)]
        assert heard[0].observed == pytest.approx(0.2, rel=0.03)
        await calls(upstream, 5.0, 1)
        assert isinstance(heard[1], AttemptTimedOut)
        assert not heard[1].by_deadline

    run_virtual(main)


def test_changed_options_hold_at_once_and_keep_what_was_learnt():
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 0.2, 30)
        upstream["adaptive_timeout"].update(factor=5.0)
        assert limit(upstream) == pytest.approx(1.0, rel=0.03)
        upstream["adaptive_timeout"].update(quantile=0.5, max_timeout=0.7)
        assert limit(upstream) == 0.7
        upstream["adaptive_timeout"].update(window=10.0, initial=0.6)
        assert limit(upstream) == 0.6
        with pytest.raises(OptionsError):
            upstream["adaptive_timeout"].update(min_timeout=1.0)
        assert limit(upstream) == 0.6

    run_virtual(main)


def test_a_plain_function_cannot_be_cut_and_counts_with_the_time_that_it_took():
    clock = ManualClock()
    upstream = pipeline(clock, initial=1.0)
    heard = []
    upstream.subscribe(heard.append, AttemptLate)
    upstream.call_sync(clock.advance, 1.0)
    assert upstream.snapshot()["adaptive_timeout"].late == 0, "just in time is not late"
    for _ in range(19):
        upstream.call_sync(clock.advance, 2.0)
    snapshot = upstream.snapshot()["adaptive_timeout"]
    assert (snapshot.late, snapshot.timed_out) == (19, 0)
    assert (heard[0].limit, heard[0].took) == (1.0, 2.0)
    assert snapshot.limit == pytest.approx(4.0, rel=0.03)
    upstream.call_sync(clock.advance, 3.0)
    assert upstream.snapshot()["adaptive_timeout"].late == 19
    with pytest.raises(ConnectionError):
        upstream.call_sync(Script(ConnectionError()).sync)
    assert upstream.snapshot()["adaptive_timeout"].samples == 21
    with deadline(1.0, clock=clock):
        upstream.call_sync(clock.advance, 1.5)
        assert upstream.snapshot()["adaptive_timeout"].late == 20
        with pytest.raises(DeadlineExceeded):
            upstream.call_sync(clock.advance, 1.5)


def test_it_serves_two_event_loops_one_after_the_other():
    clock = VirtualLoop()
    upstream = pipeline(clock)
    run_virtual(calls(upstream, 0.2, 30), loop=clock)
    again = VirtualLoop(start=clock.now())
    assert run_virtual(calls(upstream, 0.3, 5), loop=again) == 0
    assert upstream.snapshot()["adaptive_timeout"].samples == 35


def test_eight_threads_share_what_they_learn():
    clock = ManualClock()
    upstream = pipeline(clock)
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for _ in range(500):
            upstream.call_sync(int)

    assert in_threads(*[work] * 8) == [None] * 8
    clock.advance(1.0)
    snapshot = upstream.snapshot()["adaptive_timeout"]
    assert (snapshot.samples, snapshot.limit) == (4000, 0.1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"quantile": 1.5}, "quantile=1.5 is not allowed, it takes a number from 0.5 to 0.999"),
        ({"factor": 1}, "factor=1 is not allowed"),
        ({"min_timeout": 0}, "min_timeout=0 is not allowed, it takes a number above 0"),
        ({"window": float("nan")}, "window=nan is not allowed"),
        ({"min_samples": 0}, "min_samples=0 is not allowed"),
        ({"min_timeout": 40.0}, "min_timeout=40.0 is above max_timeout=30.0"),
        ({"initial": 60.0}, "initial=60.0 is not between min_timeout=0.1 and max_timeout=30.0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(OptionsError, match=says):
        AdaptiveTimeout(**options)


def test_another_longest_limit_bounds_the_others_too():
    options = AdaptiveTimeout(min_timeout=5.0, max_timeout=30.0, initial=20.0, window=600.0)
    assert options.up_to(60.0) == options.changed(max_timeout=60.0)
    assert options.up_to(10.0) == options.changed(max_timeout=10.0, initial=10.0)
    assert options.up_to(2.0) == options.changed(max_timeout=2.0, initial=2.0, min_timeout=1.0)
    assert AdaptiveTimeout().up_to(0.05).limit_after(None) == 0.05
    with pytest.raises(OptionsError, match="max_timeout=0"):
        AdaptiveTimeout().up_to(0)
