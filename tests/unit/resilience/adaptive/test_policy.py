"""The adaptive limit around calls."""

import asyncio
import threading

import pytest

from sengol_api.resilience import Overloaded, Pipeline, RateLimited, TimedOut, Timeout, deadline
from sengol_api.resilience.adaptive.aimd import Aimd
from sengol_api.resilience.adaptive.policy import AdaptiveLimit, LimitChanged
from sengol_api.resilience.adaptive.vegas import Vegas
from sengol_api.resilience.priority import Priority, priority
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.adaptive_limits import limited, state, use
from support.toolkit.tasks import started


def test_calls_over_the_limit_are_refused_at_once():
    async def main(loop):
        pipeline = limited(loop)
        running = [await started(pipeline.call(Script(hang))) for _ in range(4)]
        with pytest.raises(Overloaded, match="found 4 calls running") as refused:
            await pipeline.call(Script())
        assert refused.value.retry_after > 0
        assert state(pipeline).in_flight == 4
        assert state(pipeline).rejected == {"batch": 0, "interactive": 1, "critical": 0}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_the_limit_grows_while_it_is_in_use_and_all_is_well():
    async def main(loop):
        pipeline, told = limited(loop), []
        pipeline.subscribe(told.append, LimitChanged)
        await use(pipeline, after(0.1, "well"), times=8)
        assert state(pipeline).limit == 5
        assert state(pipeline).latency == pytest.approx(0.1)
        assert [(event.previous, event.limit) for event in told] == [(4, 5)]

    run_virtual(main)


def test_the_limit_does_not_grow_while_there_is_little_to_do():
    async def main(loop):
        pipeline = limited(loop)
        for _ in range(100):
            await pipeline.call(Script(after(0.1, "well")))
        assert state(pipeline).limit == 4

    run_virtual(main)


def test_timeouts_lower_the_limit_and_are_no_latencies():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", AdaptiveLimit(algorithm="vegas", initial=100, min_samples=5, window=0.001), Timeout(0.5), clock=loop
        )
        for _ in range(200):
            with pytest.raises(TimedOut):
                await pipeline.call(Script(hang))
        assert state(pipeline).limit == 1
        assert state(pipeline).latency is None
        assert state(pipeline).dropped == 200

    run_virtual(main)


@pytest.mark.parametrize(
    "error",
    [ValueError("request"), RateLimited("inner", "rate_limit", 1.0), asyncio.CancelledError(), KeyError("not found")],
    ids=lambda error: type(error).__name__,
)
def test_a_call_that_ends_for_other_reasons_counts_as_nothing_and_gives_its_place_back(error):
    async def main(loop):
        pipeline = limited(loop)
        for _ in range(100):
            with pytest.raises(type(error)):
                await pipeline.call(Script(after(0.01, error)))
        assert (state(pipeline).limit, state(pipeline).in_flight, state(pipeline).latency) == (4, 0, None)
        assert state(pipeline).dropped == 0

    run_virtual(main)


def test_an_answer_to_wait_from_the_other_side_lowers_the_limit():
    class TooManyError(Exception):
        retry_after = 3.0

    async def main(loop):
        pipeline = limited(loop, algorithm=Aimd(decrease=0.5))
        for _ in range(5):
            await asyncio.sleep(0.01)
            with pytest.raises(TooManyError):
                await pipeline.call(Script(TooManyError()))
        assert state(pipeline).limit == 2

    run_virtual(main)


def test_errors_that_are_answers_can_count_as_such():
    async def main(loop):
        pipeline = limited(loop, ignored_on=ValueError)
        await use(pipeline, after(0.1, KeyError("not found")), times=8)
        assert state(pipeline).latency == pytest.approx(0.1)

    run_virtual(main)


def test_a_caller_in_a_hurry_cannot_talk_the_limit_down():
    async def main(loop):
        pipeline = limited(loop)
        await use(pipeline, after(0.1, "well"), times=8)
        for _ in range(50):
            with deadline(0.01, clock=loop), pytest.raises(TimedOut):
                await pipeline.call(Script(after(0.1)))
        assert state(pipeline).limit == 5
        for _ in range(50):
            with deadline(0.5, clock=loop), pytest.raises(TimedOut):
                await pipeline.call(Script(hang))
        assert state(pipeline).limit < 5

    run_virtual(main)


@pytest.mark.parametrize("which", ["dropped_on", "ignored_on"])
def test_a_predicate_that_raises_leaks_no_place_and_is_reported(which, monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", shown.append)

    def broken(error):
        raise RuntimeError("bug")

    pipeline = limited(ManualClock(), **{which: broken})
    with pytest.raises(ValueError, match="own"):
        pipeline.call_sync(Script(ValueError("own")).sync)
    assert state(pipeline).in_flight == 0
    assert "predicate of an adaptive limit raised" in shown[0].err_msg


def test_low_priorities_are_refused_first():
    async def main(loop):
        pipeline = limited(loop, initial=10, batch_share=0.7, interactive_share=0.9)
        admitted = dict.fromkeys(Priority, 0)
        tasks = []
        for level in Priority:
            with priority(level):
                for _ in range(10):
                    task = await started(pipeline.call(Script(hang)))
                    admitted[level] += not task.done()
                    tasks.append(task)
        assert admitted == {Priority.BATCH: 7, Priority.INTERACTIVE: 2, Priority.CRITICAL: 1}
        assert state(pipeline).rejected == {"batch": 3, "interactive": 8, "critical": 9}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main)


def test_every_class_gets_a_place_at_the_lowest_limit():
    for level in Priority:
        assert AdaptiveLimit(initial=1).share(level, 1) == 1


def test_the_wait_grows_with_the_excess_of_what_comes_over_what_is_done():
    async def main(loop):
        pipeline = limited(loop, max_limit=4)
        waits = []
        for _ in range(40):
            done = await asyncio.gather(*(pipeline.call(Script(after(0.1))) for _ in range(40)), return_exceptions=True)
            waits += [answer.retry_after for answer in done if isinstance(answer, Overloaded)]
        assert waits[-1] == pytest.approx(0.1 * 10, rel=0.3)

    run_virtual(main)


def test_plain_functions_are_limited_as_well():
    clock = ManualClock()
    pipeline = limited(clock, initial=1, algorithm=Vegas())

    def nested():
        clock.advance(0.1)
        with pytest.raises(Overloaded):
            pipeline.call_sync(int)
        return "well"

    for _ in range(5):
        assert pipeline.call_sync(nested) == "well"
    assert state(pipeline).limit == 7
    assert state(pipeline).latency == pytest.approx(0.1)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            pipeline.call_sync(Script(TimeoutError()).sync)
    assert state(pipeline).dropped == 5


def test_eight_threads_never_exceed_the_limit_and_leave_nothing_behind():
    pipeline = Pipeline("upstream", AdaptiveLimit(initial=5, max_limit=5, interactive_share=1.0, min_samples=20, window=0.0001))
    together, lock = threading.Barrier(8), threading.Lock()
    running, most = 0, 0

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    def calls():
        together.wait()
        for _ in range(500):
            try:
                pipeline.call_sync(work)
            except Overloaded:
                continue

    threads = [threading.Thread(target=calls) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 5
    assert state(pipeline).in_flight == 0


def test_it_serves_two_event_loops_in_a_row():
    pipeline = Pipeline("upstream", AdaptiveLimit())

    async def main():
        return await asyncio.gather(*(pipeline.call(asyncio.sleep, 0, number) for number in range(5)))

    assert asyncio.run(main()) == asyncio.run(main()) == [0, 1, 2, 3, 4]
