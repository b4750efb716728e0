"""Bounds of an admission: fixed, changed at run time, or found by the latency."""

import asyncio

import pytest

from sengol_api.resilience import OptionsError, Overloaded, TimedOut
from sengol_api.resilience.adaptive.policy import AdaptiveLimit, LimitChanged
from sengol_api.resilience.admission.policy import Admission
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.admissions import admitting, end, started, state


def test_the_number_of_calls_at_once_can_follow_the_latency():
    async def main(loop):
        adaptive = AdaptiveLimit(algorithm="aimd", initial=2, min_samples=4, window=0.01)
        pipeline, told = admitting(loop, max_concurrent=adaptive, max_queue=100), []
        pipeline.subscribe(told.append, LimitChanged)
        upstream = Script(after(0.05, "well"))
        await asyncio.gather(*(pipeline.call(upstream) for _ in range(30)))
        assert state(pipeline).limit > 4
        assert upstream.most > 4
        assert told[0].previous == 2
        failing = Script(after(0.05, TimeoutError()))
        await asyncio.gather(*(pipeline.call(failing) for _ in range(90)), return_exceptions=True)
        assert state(pipeline).limit < 4

    run_virtual(main)


def test_plain_functions_teach_the_limit_as_well():
    clock = ManualClock()
    pipeline = admitting(clock, max_concurrent=AdaptiveLimit(algorithm="aimd", initial=1, min_samples=4, window=0.01))
    for _ in range(4):
        pipeline.call_sync(clock.advance, 0.1)
    assert state(pipeline).limit == 2
    for _ in range(4):
        clock.advance(0.1)
        with pytest.raises(TimeoutError):
            pipeline.call_sync(Script(TimeoutError()).sync)
    assert state(pipeline).limit == 1


@pytest.mark.parametrize("plain", [False, True])
def test_a_call_that_had_no_time_for_an_answer_does_not_lower_the_limit(plain):
    async def main(loop):
        adaptive = AdaptiveLimit(algorithm="aimd", initial=5, min_samples=1, window=0.01)
        pipeline = admitting(loop, max_concurrent=adaptive)

        async def cut_after(seconds):
            error = TimedOut("api", "timeout", seconds, by_deadline=True)
            if not plain:
                return await pipeline.call(Script(after(seconds, error)))
            return pipeline.call_sync(lambda: (loop.jump(seconds), Script(error).sync()))

        await pipeline.call(Script(after(0.1, "well")))
        with pytest.raises(TimedOut):
            await cut_after(0.15)
        assert state(pipeline).limit == 5
        with pytest.raises(TimedOut):
            await cut_after(0.25)
        assert state(pipeline).limit < 5, "it had twice the time that an answer takes"

    run_virtual(main)


def test_bounds_can_be_changed_at_run_time_and_those_in_line_come_in():
    async def main(loop):
        pipeline = admitting(loop)
        tasks = [await started(pipeline.call(Script(hang))) for _ in range(3)]
        pipeline["admission"].update(max_concurrent=3)
        await asyncio.sleep(0)
        assert (state(pipeline).in_flight, state(pipeline).limit) == (3, 3)
        pipeline["admission"].update(max_concurrent=AdaptiveLimit(initial=5))
        assert state(pipeline).limit == 5
        pipeline["admission"].update(max_concurrent=AdaptiveLimit(initial=8, min_limit=8))
        assert state(pipeline).limit == 8
        pipeline["admission"].update(max_concurrent=2)
        pipeline["admission"].update(max_queue=0)
        with pytest.raises(Overloaded):
            await pipeline.call(Script())
        await end(*tasks)

    run_virtual(main)


def test_a_limit_that_is_used_no_more_changes_nothing():
    async def main(loop):
        pipeline = admitting(loop, max_concurrent=AdaptiveLimit(algorithm="aimd", initial=5, min_samples=1, window=0.01))
        task = await started(pipeline.call(Script(after(0.1, TimeoutError()))))
        pipeline["admission"].update(max_concurrent=7)
        with pytest.raises(TimeoutError):
            await task
        assert state(pipeline).limit == 7

    run_virtual(main)


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrent": 0},
        {"max_concurrent": 1.5},
        {"max_queue": -1},
        {"target_delay": 0},
        {"target_delay": float("nan")},
        {"target_delay": 2.0, "interval": 1.0},
        {"interval": -1},
    ],
    ids=str,
)
def test_senseless_options_are_refused(options):
    with pytest.raises(OptionsError):
        Admission(**options)
