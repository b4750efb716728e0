"""A bound on calls at once: first come, first served, and no place is ever lost."""

import asyncio
import gc
import threading
import time
import tracemalloc

import pytest

from sengol_api.resilience import (
    Bulkhead,
    BulkheadFull,
    DeadlineExceeded,
    OptionsError,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    deadline,
)
from sengol_api.resilience.bulkhead import BulkheadSnapshot
from sengol_api.resilience.events import CallRejected
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, hang, run_virtual
from support.threads import in_threads


def bulkhead(clock, size=1, queue=100, seconds=None, *inside):
    return Pipeline("search", Bulkhead(max_concurrent=size, max_queue=queue, queue_timeout=seconds), *inside, clock=clock)


def state(pipeline):
    return pipeline.snapshot()["bulkhead"]


async def start(work):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def cancel(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def until(condition):
    """Let other threads run until something has happened."""
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0)


def test_as_many_run_as_allowed_as_many_wait_as_allowed_and_one_more_is_refused():
    async def main(loop):
        pipeline = bulkhead(loop, 2, 3)
        upstream = Script(after(1.0, "well"))
        tasks = [await start(pipeline.call(upstream)) for _ in range(5)]
        assert state(pipeline) == BulkheadSnapshot(in_flight=2, queued=3, max_concurrent=2, rejected=0, expired=0)
        with pytest.raises(BulkheadFull) as refused:
            await pipeline.call(upstream)
        assert str(refused.value) == "search: the call found 2 calls running and the queue of 3 full (bulkhead)"
        assert refused.value.retry_after is None
        assert await asyncio.gather(*tasks) == ["well"] * 5
        assert upstream.most == 2
        assert state(pipeline) == BulkheadSnapshot(in_flight=0, queued=0, max_concurrent=2, rejected=1, expired=0)

    run_virtual(main)


def test_a_refused_call_is_never_begun():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 0)
        holder = await start(pipeline.call(Script(hang)))
        upstream = Script("never")
        for _ in range(3):
            with pytest.raises(BulkheadFull):
                await pipeline.call(upstream)
        assert upstream.calls == []
        await cancel(holder)

    run_virtual(main)


def test_callers_are_served_in_the_order_in_which_they_came_and_nobody_overtakes():
    async def main(loop):
        pipeline = bulkhead(loop)
        order = []

        async def work(number):
            order.append(number)
            await asyncio.sleep(0.01)

        async def latecomers():
            for number in range(50, 100):
                await asyncio.sleep(0.005)
                tasks.append(asyncio.create_task(pipeline.call(work, number)))

        tasks = [await start(pipeline.call(work, number)) for number in range(50)]
        await latecomers()
        await asyncio.gather(*tasks)
        assert order == list(range(100))

    run_virtual(main)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_place_that_another_thread_has_put_down_and_not_yet_handed_on_is_for_the_first_in_line(kind):
    async def main(loop):
        pipeline = bulkhead(loop, 1, 100, 5.0)
        order = []

        async def work(name):
            order.append(name)
            await asyncio.sleep(1.0)

        holder = await start(pipeline.call(Script(hang)))
        first = await start(pipeline.call(work, "first"))
        pipeline["bulkhead"]._permits.put_back(None)
        if kind == "sync":
            with pytest.raises(BulkheadFull):
                pipeline.call_sync(order.append, "new")
        else:
            newcomer = await start(pipeline.call(work, "new"))
            await newcomer
        await first
        assert order[0] == "first"
        await cancel(holder)

    run_virtual(main)


def test_one_that_comes_while_a_permit_is_on_its_way_to_the_first_in_line_does_not_get_it():
    async def main(loop):
        pipeline = bulkhead(loop)
        order = []

        async def work(name):
            order.append(name)

        gate = loop.create_future()
        holder = await start(pipeline.call(lambda: gate))
        first = await start(pipeline.call(work, "first in line"))
        gate.set_result(None)
        await asyncio.sleep(0)  # the holder has given its permit back, the first in line has not run yet
        assert order == []
        second = asyncio.create_task(pipeline.call(work, "newcomer"))
        await asyncio.gather(holder, first, second)
        assert order == ["first in line", "newcomer"]

    run_virtual(main)


def test_a_cancelled_waiter_leaks_no_capacity():
    async def main(loop):
        pipeline = bulkhead(loop)
        holder = await start(pipeline.call(Script(after(1.0, "well"))))
        waiting = [await start(pipeline.call(Script("well"))) for _ in range(10)]
        await cancel(*waiting[::2])
        assert state(pipeline).queued == 5
        assert await asyncio.gather(holder, *waiting[1::2]) == ["well"] * 6
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)

    run_virtual(main)


def test_a_waiter_that_is_cancelled_when_it_is_handed_a_permit_hands_it_on():
    async def main(loop):
        pipeline = bulkhead(loop)
        for order in ("permit first", "cancelled first"):
            gate = loop.create_future()
            holder = await start(pipeline.call(lambda gate=gate: gate))
            unlucky, next_one = [await start(pipeline.call(Script("well"))) for _ in range(2)]
            if order == "permit first":
                gate.set_result(None)
                await asyncio.sleep(0)
                unlucky.cancel()
            else:
                unlucky.cancel()
                gate.set_result(None)
            with pytest.raises(asyncio.CancelledError):
                await unlucky
            assert await next_one == "well"
            await holder
            assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_cancelled_call_gives_its_place_back():
    async def main(loop):
        pipeline = bulkhead(loop)
        await cancel(await start(pipeline.call(Script(hang))))
        assert state(pipeline).in_flight == 0
        assert await pipeline.call(Script("well")) == "well"

    run_virtual(main)


def test_a_call_that_fails_gives_its_place_back():
    async def main(loop):
        pipeline = bulkhead(loop)
        for _ in range(3):
            with pytest.raises(ValueError, match="bad"):
                await pipeline.call(Script(ValueError("bad")))
            with pytest.raises(ValueError, match="bad"):
                pipeline.call_sync(Script(ValueError("bad")).sync)
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_waiter_that_nobody_remembers_gives_the_permit_on():
    async def main(loop):
        pipeline = bulkhead(loop)
        gate = loop.create_future()
        holder = await start(pipeline.call(lambda: gate))
        half_run = pipeline.call(Script("never"))
        half_run.send(None)
        next_one = await start(pipeline.call(Script("well")))
        assert state(pipeline).queued == 2
        gate.set_result(None)
        await asyncio.sleep(0)
        half_run.close()
        assert await next_one == "well"
        await holder
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_who_waits_too_long_is_refused_and_counted():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, 2.0)
        heard = []
        pipeline.subscribe(heard.append, CallRejected)
        holder = await start(pipeline.call(Script(hang)))
        started = loop.time()
        with pytest.raises(BulkheadFull, match=r"search: the call got no free place within 2 s \(bulkhead\)") as refused:
            await pipeline.call(Script("never"))
        assert loop.time() - started == 2.0
        assert [each.error for each in heard] == [refused.value]
        assert (state(pipeline).expired, state(pipeline).rejected, state(pipeline).queued) == (1, 0, 0)
        await cancel(holder)

    run_virtual(main)


def test_a_permit_that_comes_at_the_very_moment_when_the_time_is_over_is_used_or_given_on():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, 2.0)
        holder = await start(pipeline.call(Script(after(2.0, "well"))))
        try:
            outcome = await pipeline.call(Script("well"))
        except BulkheadFull:
            outcome = "refused"
        assert outcome in {"well", "refused"}
        await holder
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)

    run_virtual(main)


def test_nobody_waits_past_the_deadline():
    async def main(loop):
        for seconds in (None, 60.0):
            pipeline = bulkhead(loop, 1, 10, seconds)
            holder = await start(pipeline.call(Script(hang)))
            started = loop.time()
            with deadline(2.0, clock=loop), pytest.raises(DeadlineExceeded) as refused:
                await pipeline.call(Script("never"))
            assert loop.time() - started == pytest.approx(2.0)
            assert (refused.value.name, refused.value.policy) == ("search", "bulkhead")
            assert state(pipeline).expired == 1
            await cancel(holder)

    run_virtual(main)


def test_a_queue_timeout_shorter_than_the_deadline_is_told_as_such():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, 1.0)
        holder = await start(pipeline.call(Script(hang)))
        with deadline(2.0, clock=loop), pytest.raises(BulkheadFull, match="within 1 s"):
            await pipeline.call(Script("never"))
        await cancel(holder)

    run_virtual(main)


def test_who_has_no_time_left_does_not_stand_in_line():
    clock = ManualClock()
    pipeline = bulkhead(clock)
    heard = []
    pipeline.subscribe(heard.append, CallRejected)

    async def main():
        holder = await start(pipeline.call(Script(hang)))
        with deadline(0, clock=clock):
            with pytest.raises(DeadlineExceeded) as first:
                await pipeline.call(Script("never"))
            with pytest.raises(DeadlineExceeded) as second:
                pipeline.call_sync(Script("never").sync)
        assert [each.error for each in heard] == [first.value, second.value]
        assert state(pipeline).expired == 2
        await cancel(holder)

    run_virtual(main())


@pytest.mark.parametrize("queue", [0, 5])
def test_a_refusal_shows_nothing_of_the_machinery_in_its_traceback(queue):
    async def main(loop):
        pipeline = bulkhead(loop, 1, queue, 1.0)
        holder = await start(pipeline.call(Script(hang)))
        with pytest.raises(BulkheadFull) as refused:
            await pipeline.call(Script("never"))
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__
        with pytest.raises(DeadlineExceeded) as refused, deadline(0, clock=loop):
            await pipeline.call(Script("never"))
        assert refused.value.__suppress_context__
        if queue:
            waiting = await start(pipeline.call(Script("never")))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await waiting
            assert cancelled.value.__context__ is None
        await cancel(holder)

    run_virtual(main)


def test_an_index_error_of_the_work_is_the_works_own():
    async def main(loop):
        pipeline = bulkhead(loop)
        with pytest.raises(IndexError, match="mine"):
            await pipeline.call(Script(IndexError("mine")))
        with pytest.raises(IndexError, match="mine"):
            pipeline.call_sync(Script(IndexError("mine")).sync)
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_more_places_let_more_in_at_once():
    async def main(loop):
        pipeline = bulkhead(loop, 1)
        upstream = Script(after(1.0, "well"))
        tasks = [await start(pipeline.call(upstream)) for _ in range(5)]
        pipeline["bulkhead"].update(max_concurrent=3)
        await asyncio.sleep(0)
        assert (state(pipeline).in_flight, state(pipeline).queued, state(pipeline).max_concurrent) == (3, 2, 3)
        await asyncio.gather(*tasks)
        assert upstream.most == 3

    run_virtual(main)


def test_fewer_places_take_effect_as_calls_end_and_nobody_is_thrown_out():
    async def main(loop):
        pipeline = bulkhead(loop, 4)
        gates = [loop.create_future() for _ in range(6)]
        tasks = [await start(pipeline.call(lambda gate=gate: gate)) for gate in gates]
        pipeline["bulkhead"].update(max_concurrent=2)
        assert (state(pipeline).in_flight, state(pipeline).queued) == (4, 2)
        for gate, (running, queued) in zip(gates, [(3, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0)], strict=True):
            gate.set_result(None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (state(pipeline).in_flight, state(pipeline).queued) == (running, queued)
        await asyncio.gather(*tasks)
        pipeline["bulkhead"].update(max_concurrent=3)
        holders = [await start(pipeline.call(Script(hang))) for _ in range(4)]
        assert (state(pipeline).in_flight, state(pipeline).queued) == (3, 1)
        await cancel(*holders)

    run_virtual(main)


def test_places_taken_away_and_given_back_before_a_call_ended_are_the_same_places():
    async def main(loop):
        pipeline = bulkhead(loop, 3)
        holders = [await start(pipeline.call(Script(hang))) for _ in range(3)]
        for size in (1, 2, 3, 1, 5):
            pipeline["bulkhead"].update(max_concurrent=size)
            assert state(pipeline).in_flight == 3
        await cancel(*holders)
        upstream = Script(after(1.0))
        await asyncio.gather(*(pipeline.call(upstream) for _ in range(20)))
        assert upstream.most == 5
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_bad_size_at_run_time_is_refused():
    pipeline = bulkhead(ManualClock(), 2)
    with pytest.raises(OptionsError):
        pipeline["bulkhead"].update(max_concurrent=0)
    assert state(pipeline).max_concurrent == 2


def test_a_retry_outside_does_not_hold_a_place_while_it_sleeps():
    async def main(loop):
        pipeline = Pipeline("search", Retry(initial_delay=5.0, jitter="none"), Bulkhead(max_concurrent=1), Timeout(1.0), clock=loop)
        sleeping = await start(pipeline.call(Script(ConnectionError(), "well")))
        await asyncio.sleep(1)
        assert await pipeline.call(Script("well")) == "well"
        assert await sleeping == "well"

    run_virtual(main)


def test_a_call_that_is_cut_gives_its_place_to_the_next():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, None, Timeout(1.0))
        first, second = await start(pipeline.call(Script(hang))), await start(pipeline.call(Script("well")))
        with pytest.raises(TimedOut):
            await first
        assert await second == "well"

    run_virtual(main)


def test_a_listener_that_raises_leaks_no_place():
    class Broken(BaseException):
        pass

    def broken(event):
        raise Broken

    async def main(loop):
        pipeline = bulkhead(loop, 1, 0, None, Timeout(1.0))
        pipeline.subscribe(broken)
        holder = await start(pipeline.call(Script(hang)))
        with pytest.raises(Broken):
            await pipeline.call(Script("never"))
        with pytest.raises(Broken):
            await holder
        assert state(pipeline).in_flight == 0
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)


# Loops and threads


def test_one_bulkhead_serves_two_event_loops_one_after_the_other():
    pipeline = Pipeline("search", Retry(), Bulkhead(max_concurrent=1), Timeout(5.0))

    async def main():
        async def work(number):
            await asyncio.sleep(0)
            return number

        return await asyncio.gather(*(pipeline.call(work, number) for number in range(20)))

    for _ in range(2):
        assert asyncio.run(main()) == list(range(20))
    assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)


def test_a_loop_that_was_closed_with_a_waiter_in_line_stops_nobody_and_no_permit_is_given_twice():
    pipeline = bulkhead(ManualClock())
    loop = VirtualLoop()
    loop.set_exception_handler(lambda loop, context: None)  # it would tell of the task that is destroyed
    gone = []

    async def main(other):
        gate = other.create_future()
        holder = await start(pipeline.call(lambda: gate))
        gone.append(loop.create_task(pipeline.call(Script("never"))))
        asyncio.events._set_running_loop(None)
        loop.run_until_complete(_yield())
        loop.close()
        asyncio.events._set_running_loop(other)
        second = await start(pipeline.call(Script("well")))
        assert state(pipeline).queued == 2
        gate.set_result(None)
        assert await second == "well"
        await holder
        assert state(pipeline).in_flight == 0
        gone.clear()
        gc.collect()
        assert state(pipeline).in_flight == 0
        upstream = Script(after(1.0))
        await asyncio.gather(*(pipeline.call(upstream) for _ in range(5)))
        assert upstream.most == 1

    async def _yield():
        await asyncio.sleep(0)

    run_virtual(main)


def test_a_permit_that_was_handed_to_a_loop_that_never_ran_again_comes_back_with_its_garbage():
    pipeline = bulkhead(ManualClock())
    loop = VirtualLoop()
    loop.set_exception_handler(lambda loop, context: None)
    gate = threading.Event()
    holding = threading.Event()

    def hold():
        holding.set()
        gate.wait()

    holder = threading.Thread(target=pipeline.call_sync, args=(hold,))
    holder.start()
    holding.wait()
    waiting = loop.create_task(pipeline.call(Script("never")))
    loop.run_until_complete(asyncio.sleep(0))
    assert state(pipeline).queued == 1
    gate.set()
    holder.join()
    assert (state(pipeline).queued, state(pipeline).in_flight) == (0, 1)  # on its way
    loop.close()
    del waiting
    gc.collect()
    assert state(pipeline).in_flight == 0
    assert pipeline.call_sync(Script("well").sync) == "well"


def test_eight_threads_never_exceed_the_limit_and_all_are_served():
    pipeline = bulkhead(ManualClock(), 3, 100)
    lock = threading.Lock()
    barrier = threading.Barrier(8)
    running = most = 0

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0)
        with lock:
            running -= 1

    def caller():
        barrier.wait()
        for _ in range(200):
            pipeline.call_sync(work)

    assert in_threads(*[caller] * 8) == [None] * 8
    assert most <= 3
    assert state(pipeline) == BulkheadSnapshot(in_flight=0, queued=0, max_concurrent=3, rejected=0, expired=0)


def test_eight_threads_with_an_event_loop_each_share_one_bulkhead():
    pipeline = bulkhead(ManualClock(), 3, 1000)
    running = []
    most = []

    async def work():
        running.append(1)
        most.append(len(running))
        await asyncio.sleep(0)
        running.pop()

    def caller():
        async def main():
            await asyncio.gather(*(pipeline.call(work) for _ in range(50)))

        asyncio.run(main())

    assert in_threads(*[caller] * 8) == [None] * 8
    assert max(most) <= 3
    assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)


def test_coroutines_of_several_loops_and_plain_threads_stand_in_one_line():
    pipeline = bulkhead(ManualClock())
    order = []
    gate = threading.Event()
    threads = [threading.Thread(target=pipeline.call_sync, args=(gate.wait,))]
    threads[0].start()
    until(lambda: state(pipeline).in_flight == 1)

    def in_a_loop(number):
        async def work():
            order.append(number)

        async def main():
            await pipeline.call(work)

        asyncio.run(main())

    for number in range(8):
        target = in_a_loop if number % 2 else lambda number: pipeline.call_sync(order.append, number)
        threads.append(threading.Thread(target=target, args=(number,)))
        threads[-1].start()
        until(lambda number=number: state(pipeline).queued == number + 1)
    gate.set()
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)


def test_a_plain_thread_waits_no_longer_than_the_queue_timeout():
    clock = ManualClock()
    pipeline = bulkhead(clock, 1, 10, 2.0)
    upstream = Script("never")

    def nested():
        with pytest.raises(BulkheadFull, match="no free place within 2 s"):
            pipeline.call_sync(upstream.sync)
        with deadline(1.0, clock=clock), pytest.raises(DeadlineExceeded):
            pipeline.call_sync(upstream.sync)
        return "well"

    assert pipeline.call_sync(nested) == "well"
    assert clock.slept == [2.0, 1.0]
    assert (state(pipeline).expired, state(pipeline).in_flight) == (2, 0)


def test_a_plain_call_that_finds_the_queue_full_is_refused():
    pipeline = bulkhead(ManualClock(), 1, 0)

    def nested():
        with pytest.raises(BulkheadFull):
            pipeline.call_sync(Script("never").sync)

    pipeline.call_sync(nested)
    assert state(pipeline).rejected == 1


def test_a_plain_thread_that_is_interrupted_in_line_leaves_it():
    class Interrupted(BaseException):
        pass

    class Clock(ManualClock):
        granted_first = False

        def wait(self, event, seconds):
            if self.granted_first:
                gate.set()
                holder.join()
                assert event.is_set()
            raise Interrupted

    clock = Clock()
    pipeline = bulkhead(clock)
    for granted_first in (False, True):
        gate = threading.Event()
        clock.granted_first = granted_first
        holder = threading.Thread(target=pipeline.call_sync, args=(gate.wait,))
        holder.start()
        until(lambda: state(pipeline).in_flight == 1)
        with pytest.raises(Interrupted):
            pipeline.call_sync(Script("never").sync)
        gate.set()
        holder.join()
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)


# Cost


def test_memory_stays_flat_over_many_calls():
    async def main(loop):
        pipeline = Pipeline("search", Retry(), Bulkhead(max_concurrent=2), Timeout(30.0), clock=loop)

        async def at_once():
            return 1

        async def calls(number):
            for _ in range(number):
                await pipeline.call(at_once)
            for _ in range(number // 50):
                await asyncio.gather(*(pipeline.call(asyncio.sleep, 0.001) for _ in range(4)))
                pipeline.call_sync(int)

        await calls(5_000)
        gc.collect()
        tracemalloc.start()
        try:
            await calls(2_000)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            await calls(30_000)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 20_000

    run_virtual(main)
