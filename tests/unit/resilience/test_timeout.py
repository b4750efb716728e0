"""The time limit of an attempt: what it counts, what it tells, and what it can do for plain functions."""

import asyncio
from contextlib import suppress

import pytest

from sengol_api.resilience import DeadlineExceeded, Pipeline, Retry, TimedOut, Timeout, deadline, remaining
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from sengol_api.resilience.timeout import AttemptLate, AttemptTimedOut, TimeoutSnapshot


def test_a_snapshot_tells_the_limit_and_what_was_cut():
    async def main(loop):
        pipeline = Pipeline("search", Timeout(1.0), clock=loop)
        assert pipeline.snapshot()["timeout"] == TimeoutSnapshot(limit=1.0, timed_out=0, late=0)
        for upstream in (Script(hang), Script(after(0.5, "well")), Script(ValueError())):
            with suppress(TimedOut, ValueError):
                await pipeline.call(upstream)
        assert pipeline.snapshot()["timeout"] == TimeoutSnapshot(limit=1.0, timed_out=1, late=0)

    run_virtual(main)


def test_a_cut_is_an_event_that_says_whose_time_was_over():
    heard = []

    async def main(loop):
        pipeline = Pipeline("search", Timeout(1.0), clock=loop)
        pipeline.subscribe(heard.append)
        with pytest.raises(TimedOut):
            await pipeline.call(Script(hang))
        with deadline(0.25, clock=loop), pytest.raises(TimedOut):
            await pipeline.call(Script(hang))
        assert heard == [
            AttemptTimedOut(pipeline="search", policy="timeout", at=heard[0].at, limit=1.0, by_deadline=False),
            AttemptTimedOut(pipeline="search", policy="timeout", at=heard[1].at, limit=0.25, by_deadline=True),
        ]
        assert heard[1].at == loop.wall()

    run_virtual(main)


def test_each_attempt_has_its_own_time():
    async def main(loop):
        upstream = Script(hang, hang, after(0.9, "well"))
        pipeline = Pipeline("search", Retry(initial_delay=0.0, jitter="none"), Timeout(1.0), clock=loop)
        assert await pipeline.call(upstream) == "well"
        assert pipeline.snapshot()["timeout"].timed_out == 2

    run_virtual(main)


def test_one_around_a_retry_bounds_all_attempts_together():
    async def main(loop):
        upstream = Script(after(0.4, ConnectionError()))
        pipeline = Pipeline("search", Timeout(1.0), Retry(max_retries=9, initial_delay=0.1, jitter="none"), clock=loop)
        started = loop.time()
        with pytest.raises(TimedOut):
            await pipeline.call(upstream)
        assert 1.0 <= loop.time() - started <= 1.01
        assert len(upstream.calls) == 2

    run_virtual(main)


def test_a_limit_changed_at_run_time_holds_for_the_next_attempt():
    async def main(loop):
        pipeline = Pipeline("search", Timeout(1.0), clock=loop)
        under_way = asyncio.create_task(pipeline.call(Script(after(0.9, "on the old options"))))
        await asyncio.sleep(0.1)
        pipeline["timeout"].update(seconds=0.2)
        assert pipeline["timeout"].options == Timeout(0.2)
        with pytest.raises(TimedOut):
            await pipeline.call(Script(after(0.5)))
        assert await under_way == "on the old options"
        assert pipeline.snapshot()["timeout"].limit == 0.2

    run_virtual(main)


def test_a_step_of_the_wall_clock_cuts_nothing():
    async def main(loop):
        pipeline = Pipeline("search", Timeout(1.0), clock=loop)
        loop.call_later(0.2, loop.step_wall, 86_400)
        assert await pipeline.call(Script(after(0.5, "well"))) == "well"

    run_virtual(main)


def taking(clock, seconds):
    def work():
        clock.advance(seconds)
        return "well"

    return work


def test_a_plain_function_that_is_late_is_believed_and_counted():
    clock = ManualClock()
    heard = []
    pipeline = Pipeline("search", Timeout(1.0), clock=clock)
    pipeline.subscribe(heard.append)
    assert pipeline.call_sync(taking(clock, 1.0)) == "well"
    assert heard == []
    assert pipeline.call_sync(taking(clock, 1.5)) == "well"
    assert heard == [AttemptLate(pipeline="search", policy="timeout", at=clock.wall(), limit=1.0, took=1.5)]
    assert pipeline.snapshot()["timeout"] == TimeoutSnapshot(limit=1.0, timed_out=0, late=1)


def test_a_plain_function_is_late_after_the_deadline_too():
    clock = ManualClock()
    heard = []
    pipeline = Pipeline("search", Timeout(1.0), clock=clock)
    pipeline.subscribe(heard.append)
    with deadline(0.5, clock=clock):
        assert pipeline.call_sync(taking(clock, 0.75)) == "well"
        assert heard[0].limit == 0.5
        with pytest.raises(DeadlineExceeded):
            pipeline.call_sync(taking(clock, 0))
    with deadline(9.0, clock=clock):
        assert pipeline.call_sync(taking(clock, 0.75)) == "well"
    assert len(heard) == 2  # late once, refused once


def test_a_plain_function_can_ask_what_is_left_for_its_socket():
    clock = ManualClock()
    with deadline(2.0, clock=clock):
        assert Pipeline("search", Timeout(1.0), clock=clock).call_sync(remaining) == 2.0


def test_an_error_of_a_plain_function_is_its_own():
    with pytest.raises(TimeoutError) as error:
        Pipeline("search", Timeout(1.0)).call_sync(Script(TimeoutError("of the socket")).sync)
    assert not isinstance(error.value, TimedOut)
