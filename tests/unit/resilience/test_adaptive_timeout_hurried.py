"""What an adaptive timeout learns from callers with little time, from errors and from cancellations."""

import asyncio

import pytest

from sengol_api.resilience import TimedOut, deadline
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from support.toolkit.adaptive_timeouts import calls, limit, pipeline


def test_calls_with_little_time_left_do_not_make_the_service_look_fast():
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 0.5, 30)
        for _ in range(200):
            with pytest.raises(TimedOut), deadline(0.01, clock=loop):
                await upstream.call(asyncio.sleep, 0.5)
        child = asyncio.create_task(hurried(loop, upstream, 0.01, 200))
        await child
        await asyncio.sleep(1.0)
        assert limit(upstream) == pytest.approx(1.0, rel=0.03)
        assert upstream.snapshot()["adaptive_timeout"].samples == 30

    run_virtual(main)


async def hurried(loop, upstream, seconds, times):
    """Calls in tasks that inherit a deadline: the policy itself has to keep it."""
    for _ in range(times):
        with deadline(seconds, clock=loop):
            task = asyncio.create_task(upstream.call(Script(hang)))
        with pytest.raises(TimedOut) as error:
            await task
        assert error.value.by_deadline


def test_calls_with_little_time_left_teach_nothing_while_nothing_is_known():
    async def main(loop):
        upstream = pipeline(loop, min_samples=1)
        await hurried(loop, upstream, 0.2, 50)
        assert limit(upstream) == 30.0

    run_virtual(main)


def test_a_cut_by_the_deadline_that_took_longer_than_the_service_was_known_to_widens_the_limit():
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 0.5, 30)
        await hurried(loop, upstream, 0.8, 10)
        assert limit(upstream) == pytest.approx(1.6, rel=0.05)
        await hurried(loop, upstream, 0.8, 200)
        assert limit(upstream) == pytest.approx(1.6, rel=0.05), "they go on counting, and drift nowhere"
        assert upstream.snapshot()["adaptive_timeout"].samples > 50

    run_virtual(main)


def test_fast_errors_and_cancelled_calls_do_not_make_the_service_look_fast():
    async def main(loop):
        upstream = pipeline(loop)
        await calls(upstream, 0.5, 30)
        for _ in range(300):
            with pytest.raises(ConnectionError):
                await upstream.call(Script(after(0.001, ConnectionError())))
            task = asyncio.create_task(upstream.call(Script(hang)))
            await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert limit(upstream) == pytest.approx(1.0, rel=0.03)
        snapshot = upstream.snapshot()["adaptive_timeout"]
        assert (snapshot.timed_out, snapshot.samples) == (0, 30)

    run_virtual(main)
