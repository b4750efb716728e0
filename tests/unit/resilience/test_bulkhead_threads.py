"""One bulkhead for several event loops and plain threads."""

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
    Pipeline,
    Retry,
    Timeout,
    deadline,
)
from sengol_api.resilience.bulkhead import BulkheadSnapshot
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, run_virtual
from support.threads import in_threads
from support.toolkit.bulkheads import bulkhead, state
from support.toolkit.tasks import started


def until(condition):
    """Let other threads run until something has happened."""
    give_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0)


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
        holder = await started(pipeline.call(lambda: gate))
        gone.append(loop.create_task(pipeline.call(Script("never"))))
        asyncio.events._set_running_loop(None)
        loop.run_until_complete(_yield())
        loop.close()
        asyncio.events._set_running_loop(other)
        second = await started(pipeline.call(Script("well")))
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
