"""Admission around calls."""

import asyncio
import threading

import pytest

from sengol_api.resilience import OptionsError, Overloaded, Pipeline, Timeout, deadline
from sengol_api.resilience.adaptive.policy import AdaptiveLimit, LimitChanged
from sengol_api.resilience.admission.codel import ControlledDelay
from sengol_api.resilience.admission.line import Line
from sengol_api.resilience.admission.policy import Admission, OverloadBegan, OverloadEnded
from sengol_api.resilience.priority import Priority, priority
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, hang, run_virtual
from support.queueing import offer

BATCH, INTERACTIVE, CRITICAL = Priority


async def started(work, level=INTERACTIVE):
    with priority(level, may_raise=True):
        task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


def admitting(clock, **options):
    return Pipeline("api", Admission(**{"max_concurrent": 1, "max_queue": 3, **options}), clock=clock)


def state(pipeline):
    return pipeline.snapshot()["admission"]


async def end(*tasks):
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def in_turn(pipeline, order, seconds=0.01):
    """A call that notes its name when it gets its turn."""

    async def work(name):
        order.append(name)
        await asyncio.sleep(seconds)

    return lambda name: pipeline.call(work, name)


def test_calls_wait_for_a_place_first_come_first_served():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        await asyncio.gather(*(call(number) for number in range(4)))
        assert order == [0, 1, 2, 3]
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, {"batch": 0, "interactive": 0, "critical": 0})

    run_virtual(main)


def test_the_higher_class_goes_first():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=10), []
        call = in_turn(pipeline, order)
        tasks = [await started(call("running"))]
        tasks += [await started(call(level.name), level) for level in (BATCH, INTERACTIVE, CRITICAL) * 2]
        assert state(pipeline).queued == {"batch": 2, "interactive": 2, "critical": 2}
        await asyncio.gather(*tasks)
        assert order == ["running", "CRITICAL", "CRITICAL", "INTERACTIVE", "INTERACTIVE", "BATCH", "BATCH"]

    run_virtual(main)


def test_one_more_than_the_line_holds_is_refused_with_a_wait():
    async def main(loop):
        pipeline = admitting(loop)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = [await started(call(number)) for number in range(4)]
        with pytest.raises(Overloaded, match="found the line full") as refused:
            await call("one more")
        assert refused.value.retry_after == 1.0  # nothing is known yet but the interval
        await asyncio.gather(*tasks)
        tasks = [await started(call(number)) for number in range(4)]
        with pytest.raises(Overloaded) as refused:
            await call("one more")
        assert refused.value.retry_after == pytest.approx(0.4, rel=0.05)  # four places, one each 0.1 s
        assert state(pipeline).rejected == {"batch": 0, "interactive": 2, "critical": 0}
        assert state(pipeline).reasons == {"full": 2, "displaced": 0, "waited": 0, "deadline": 0}
        await asyncio.gather(*tasks)

    run_virtual(main)


def test_without_a_queue_nobody_waits():
    async def main(loop):
        pipeline = admitting(loop, max_queue=0)
        running = await started(pipeline.call(Script(hang)))
        for level in Priority:
            with pytest.raises(Overloaded):
                await (await started(pipeline.call(Script()), level))
        await end(running)

    run_virtual(main)


def test_in_a_full_line_a_higher_class_takes_the_place_of_the_lowest():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        running = await started(call("running"))
        batch = [await started(call(f"batch {number}"), BATCH) for number in range(3)]
        critical = await started(call("critical"), CRITICAL)
        displaced_at = loop.time()
        with pytest.raises(Overloaded, match="gave its place in line to one"):
            await batch[2]
        assert loop.time() == displaced_at, "it is told at once"
        await asyncio.gather(running, critical, *batch[:2])
        assert order == ["running", "critical", "batch 0", "batch 1"]
        assert state(pipeline).rejected == {"batch": 1, "interactive": 0, "critical": 0}

    run_virtual(main)


def test_a_class_that_fills_the_line_cannot_keep_another_out_of_it():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        running = await started(call("running"))
        critical = [await started(call(number), CRITICAL) for number in range(3)]
        batch = await started(call("batch"), BATCH)
        assert state(pipeline).queued == {"batch": 1, "interactive": 0, "critical": 2}
        another = await started(call("critical"), CRITICAL)  # the last one of a class is safe
        await asyncio.gather(running, batch, *critical, another, return_exceptions=True)
        assert order == ["running", 0, 1, "batch"]

    run_virtual(main)


def test_the_only_one_in_line_is_displaced_by_nobody():
    async def main(loop):
        pipeline = admitting(loop, max_queue=1)
        running = await started(pipeline.call(Script(hang)))
        first = await started(pipeline.call(Script()), BATCH)
        for level in (BATCH, INTERACTIVE, CRITICAL):
            with pytest.raises(Overloaded, match="full"):
                await (await started(pipeline.call(Script()), level))
        await end(running, first)

    run_virtual(main)


@pytest.mark.parametrize("greedy", [INTERACTIVE, CRITICAL])
def test_a_greedy_class_does_not_starve_another_for_ever(greedy):
    async def main(loop):
        pipeline = admitting(loop, max_queue=20, target_delay=0.5)
        done = dict.fromkeys(Priority, 0)

        async def work(level):
            await asyncio.sleep(0.01)
            done[level] += 1

        tasks = []
        for _ in range(400):
            tasks += [await started(pipeline.call(work, greedy), greedy) for _ in range(5)]
            tasks.append(await started(pipeline.call(work, BATCH), BATCH))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done[greedy] > 350
        assert done[BATCH] >= 400 // 18

    run_virtual(main)


def test_under_overload_waits_are_short_and_the_newest_goes_first():
    async def main(loop):
        pipeline, told, order = admitting(loop, max_queue=100), [], []
        pipeline.subscribe(told.append, OverloadBegan, OverloadEnded)
        call = in_turn(pipeline, order, seconds=0.06)
        tasks = [await started(call("old")) for _ in range(20)]
        await asyncio.sleep(0.95)
        assert not told
        await asyncio.sleep(0.06)
        first = await started(call("first"))
        second = await started(call("second"))
        assert [type(event) for event in told] == [OverloadBegan]
        assert told[0].queued >= 1
        assert state(pipeline).overloaded
        await asyncio.sleep(0.05)
        assert order[-1] == "second"
        await asyncio.gather(*tasks, first, second, return_exceptions=True)
        await asyncio.sleep(0.2)
        await call("calm again")
        assert [type(event) for event in told] == [OverloadBegan, OverloadEnded]
        assert not state(pipeline).overloaded

    run_virtual(main)


def test_a_call_that_waited_as_long_as_one_may_is_refused():
    async def main(loop):
        pipeline = admitting(loop)
        running = await started(pipeline.call(Script(hang)))
        with pytest.raises(Overloaded, match="waited in line as long as one may") as refused:
            await pipeline.call(Script())
        assert loop.now() == pytest.approx(1001.0)
        assert refused.value.retry_after >= 1.0
        assert state(pipeline).reasons["waited"] == 1
        await end(running)

    run_virtual(main)


def test_a_call_does_not_wait_past_its_deadline():
    async def main(loop):
        pipeline = admitting(loop)
        running = await started(pipeline.call(Script(hang)))
        line = pipeline["admission"]
        with deadline(0.5, clock=loop):
            began = loop.now()
            with pytest.raises(Overloaded, match="could not get its turn before its deadline"):
                await asyncio.ensure_future(pipeline.call(Script()))
        assert loop.now() - began == pytest.approx(0.5, abs=0.01)
        assert line.snapshot().queued["interactive"] == 0
        await end(running)

    run_virtual(main)


def test_a_call_whose_deadline_the_line_cannot_meet_is_refused_at_once():
    async def main(loop):
        pipeline = admitting(loop, max_queue=50)
        call = in_turn(pipeline, [], seconds=0.05)
        tasks = [await started(call(number)) for number in range(15)]
        await asyncio.sleep(0.3)
        began = loop.now()
        with deadline(0.1, clock=loop), pytest.raises(Overloaded, match="before its deadline") as refused:
            await call("in a hurry")
        assert loop.now() == began
        assert refused.value.retry_after == pytest.approx(0.5, abs=0.1)
        with deadline(0.2, clock=loop):
            await (await started(call("critical"), CRITICAL))  # nobody is before it
        await asyncio.gather(*tasks)

    run_virtual(main)


def test_a_waiter_that_is_cancelled_leaves_the_line():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        running = await started(call("running"))
        first, second = [await started(call(name)) for name in ("first", "second")]
        first.cancel()
        await asyncio.gather(running, first, second, return_exceptions=True)
        assert order == ["running", "second"]
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_timer_that_cannot_be_set_leaves_nobody_in_line():
    async def main(loop):
        pipeline = admitting(loop)
        holder = await started(pipeline.call(Script(hang)))

        def broken(*_):
            raise OverflowError

        loop.call_later = broken
        with pytest.raises(OverflowError):
            await pipeline.call(Script("never"))
        del loop.call_later
        assert sum(state(pipeline).queued.values()) == 0
        await end(holder)
        assert await pipeline.call(Script("turn")) == "turn"

    run_virtual(main)


def test_a_waiter_that_is_cancelled_as_it_is_handed_its_place_passes_it_on():
    async def main(loop):
        pipeline = admitting(loop)

        async def hold_then_cancel_the_first():
            await pipeline.call(asyncio.sleep, 0.1)
            assert not first.done()
            first.cancel()

        holder = await started(hold_then_cancel_the_first())
        first, second = [await started(pipeline.call(Script(name))) for name in ("first", "second")]
        await holder
        assert await second == "second"
        assert first.cancelled()
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_one_whose_time_is_over_is_passed_by_even_when_its_timer_is_late():
    loop = VirtualLoop()

    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)

        async def block():
            await asyncio.sleep(0.5)
            loop.jump(2.0)  # a busy loop: no timer ran

        running = await started(pipeline.call(block))
        tasks = [await started(call(name)) for name in ("late", "late as well")]
        done = await asyncio.gather(running, *tasks, return_exceptions=True)
        assert [type(each) for each in done[1:]] == [Overloaded, Overloaded]
        assert order == []
        assert state(pipeline).in_flight == 0

    run_virtual(main, loop=loop)


@pytest.mark.parametrize("ending", [ValueError("own"), asyncio.CancelledError()], ids=["error", "cancelled"])
def test_a_call_gives_its_place_back_however_it_ends(ending):
    async def main(loop):
        for limit in (1, AdaptiveLimit(initial=1)):
            pipeline = admitting(loop, max_concurrent=limit)
            with pytest.raises(type(ending)):
                await pipeline.call(Script(ending))
            assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_threads_and_coroutines_stand_in_one_line():
    pipeline = Pipeline("api", Admission(max_concurrent=2, max_queue=100, target_delay=20.0, interval=20.0))
    together, lock = threading.Barrier(8), threading.Lock()
    running, most, done = 0, 0, 0

    def work():
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
            done += 1

    async def work_of_a_coroutine():
        work()
        await asyncio.sleep(0)

    async def many():
        await asyncio.gather(*(pipeline.call(work_of_a_coroutine) for _ in range(20)))

    def plain():
        together.wait()
        for _ in range(100):
            pipeline.call_sync(work)

    def looping():
        together.wait()
        for _ in range(5):
            asyncio.run(many())

    threads = [threading.Thread(target=target) for target in [plain, looping] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 2
    assert done == 800
    assert state(pipeline).in_flight == 0


def test_a_plain_function_waits_no_longer_than_one_may():
    clock = ManualClock()
    pipeline = admitting(clock)

    def nested():
        with pytest.raises(Overloaded, match="waited"):
            pipeline.call_sync(int)
        raise ValueError("own")

    with pytest.raises(ValueError, match="own"):
        pipeline.call_sync(nested)
    assert clock.slept == [1.0]
    assert state(pipeline).in_flight == 0


def test_an_interrupt_while_a_plain_function_waits_leaks_no_place():
    class Interrupted(ManualClock):
        def wait(self, event, seconds):
            if hands_over[0]:
                pipeline["admission"].update(max_concurrent=2)
            raise KeyboardInterrupt

    pipeline = admitting(Interrupted())

    def nested():
        with pytest.raises(KeyboardInterrupt):
            pipeline.call_sync(int)

    for hands_over in ([False], [True]):  # noqa: B007 - read by the clock
        pipeline.call_sync(nested)
        assert (state(pipeline).in_flight, state(pipeline).queued["interactive"]) == (0, 0)


def test_a_place_handed_to_a_waiter_of_a_closed_loop_goes_to_the_next():
    clock, served = ManualClock(), []
    pipeline = admitting(clock)

    def in_a_loop_that_is_closed():
        loop = asyncio.new_event_loop()
        task = loop.create_task(pipeline.call(Script("nobody")))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        lost.append(task)

    lost = []
    pipeline.call_sync(in_a_loop_that_is_closed)
    assert state(pipeline).in_flight == 0
    lost.pop().get_coro().close()
    assert state(pipeline).in_flight == 0
    pipeline.call_sync(served.append, "next")
    assert served == ["next"]


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


@pytest.mark.parametrize("load", [2.0, 10.0])
def test_under_overload_goodput_stays_at_its_peak_and_the_admitted_are_quick(load):
    result = offer(load, Admission(max_concurrent=10), Timeout(1.0), seconds=8.0)
    assert result.goodput >= 0.95
    assert result.quantile(0.99) <= 0.21  # 0.1 s in line and 0.1 s of work


def test_under_overload_an_adaptive_admission_does_as_well():
    result = offer(5.0, Admission(max_concurrent=AdaptiveLimit(window=0.25)), Timeout(1.0), seconds=8.0)
    assert result.goodput >= 0.95
    assert result.quantile(0.99) <= 0.4


def test_it_serves_two_event_loops_in_a_row():
    pipeline = Pipeline("api", Admission(max_concurrent=1))

    async def main():
        return await asyncio.gather(*(pipeline.call(asyncio.sleep, 0, number) for number in range(5)))

    assert asyncio.run(main()) == asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_a_place_that_is_free_for_a_moment_is_not_taken_from_those_in_line():
    async def main(loop):
        line = Line(1, 1, ControlledDelay(0.1, 1.0), loop.now)
        assert line.enter()
        waiting = await started(line.wait(INTERACTIVE, None))
        line.running -= 1  # another thread has given it back, and not yet handed it on
        assert not line.enter()
        line.running += 1
        line.release()
        await waiting

    run_virtual(main)


def test_a_line_says_nothing_of_its_speed_before_it_has_moved():
    assert Line(1, 1, ControlledDelay(0.1, 1.0), ManualClock().now).retry_after is None
