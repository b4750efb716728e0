"""Places of an admission: given back and handed on, whatever happens to their holders."""

import asyncio
import threading

import pytest

from sengol_api.resilience import Overloaded, Pipeline
from sengol_api.resilience.adaptive.policy import AdaptiveLimit
from sengol_api.resilience.admission.codel import ControlledDelay
from sengol_api.resilience.admission.line import Line
from sengol_api.resilience.admission.policy import Admission
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, hang, run_virtual
from support.toolkit.admissions import INTERACTIVE, admitting, end, in_turn, started, state


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


def test_who_has_got_a_place_leaves_no_timer_behind():
    async def main(loop):
        line, timers, call_later = Line(1, 1, ControlledDelay(0.1, 1.0), loop.now), [], loop.call_later

        def noted(*args):
            timers.append(call_later(*args))
            return timers[-1]

        assert line.enter()
        loop.call_later = noted
        waiting = await started(line.wait(INTERACTIVE, None))
        line.release()
        await waiting
        assert [timer.cancelled() for timer in timers] == [True], "it would hold the waiter until it comes up"

    run_virtual(main)


def test_a_place_that_is_given_back_just_before_one_stands_in_line_is_not_waited_for():
    async def main(loop):
        line = Line(1, 1, ControlledDelay(0.1, 1.0), loop.now)
        assert line.enter()
        assert not line.enter()
        line.release()  # by another thread, which found nobody in line
        began = loop.time()
        await line.wait(INTERACTIVE, None)
        assert (loop.time() - began, line.running, line.waiting) == (0.0, 1, 0)

    run_virtual(main)


def test_a_place_that_comes_at_the_very_end_of_ones_time_is_ones_own():
    async def main(loop):
        line = Line(1, 1, ControlledDelay(0.125, 0.5), loop.now)
        assert line.enter()
        waiting = await started(line.wait(INTERACTIVE, None))
        loop.jump(0.5)
        line.release()
        await waiting
        assert line.running == 1

    run_virtual(main)


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


@pytest.mark.parametrize("seconds", [0.0, 2.0], ids=["in time", "when its time is over"])
def test_a_place_for_a_waiter_of_a_closed_loop_goes_to_the_next(seconds):
    clock = ManualClock()
    pipeline = admitting(clock)

    def in_a_loop_that_is_closed():
        loop = asyncio.new_event_loop()
        task = loop.create_task(pipeline.call(Script("nobody")))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        lost.append(task)
        clock.advance(seconds)

    lost = []
    pipeline.call_sync(in_a_loop_that_is_closed)
    assert state(pipeline).in_flight == 0
    lost.pop().get_coro().close()
    assert state(pipeline).in_flight == 0
    assert pipeline.call_sync(Script("next").sync) == "next"
