"""An event loop on virtual time."""

import asyncio
import gc
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience import Bulkhead, Pipeline, Timeout
from sengol_api.resilience.testing import VirtualLoop, run_virtual
from sengol_api.resilience.testing.loop import NothingToDo


def test_a_day_passes_at_once_and_exactly():
    started = time.monotonic()

    async def main(loop):
        await asyncio.sleep(86_400)
        return loop.time()

    assert run_virtual(main) == 1000.0 + 86_400
    assert time.monotonic() - started < 86_400


def test_a_timer_a_hundred_years_away_comes_up():
    async def main(loop):
        await asyncio.sleep(100 * 365 * 86_400)
        return loop.time()

    assert run_virtual(main) == pytest.approx(1000.0 + 100 * 365 * 86_400, rel=1e-15)


@settings(max_examples=60, deadline=None)
@given(start=st.floats(0, 1e10), delays=st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_timers_come_up_in_order_in_time_and_time_never_goes_back(start, delays):
    seen = []

    async def wait(loop, delay):
        due = loop.time() + delay
        await asyncio.sleep(delay)
        seen.append((due, loop.time()))

    async def main(loop):
        await asyncio.gather(*(wait(loop, delay) for delay in delays))

    run_virtual(main, loop=VirtualLoop(start=start))
    times = [now for _, now in seen]
    assert times == sorted(times)
    for due, now in seen:
        assert now == pytest.approx(due, rel=1e-12, abs=2e-9)


def test_a_jump_forward_brings_up_what_is_due_and_a_jump_back_is_none():
    loop = VirtualLoop(start=10.0)
    try:
        loop.jump(-5.0)
        assert loop.time() == 10.0
        loop.jump(5.0)
        assert loop.time() == loop.now() == 15.0
    finally:
        loop.close()


def test_the_wall_clock_can_be_set_and_goes_on_with_the_time():
    async def main(loop):
        assert loop.wall() == 1_800_000_000.0
        loop.step_wall(-3600)
        await loop.sleep(10)
        return loop.wall(), loop.time()

    assert run_virtual(main) == (1_800_000_000.0 - 3600 + 10, 1010.0)


def test_the_same_thing_happens_each_time():
    def day():
        log = []

        async def main(loop):
            async def worker(number):
                for step in range(20):
                    await asyncio.sleep((number * 7 + step * 3) % 11)
                    log.append((loop.time(), number, step))

            await asyncio.gather(*(worker(number) for number in range(10)))

        run_virtual(main)
        return log

    assert day() == day()


def test_work_that_would_hang_for_ever_is_told_and_leaves_no_mess():
    cleaned = []
    loop = VirtualLoop()

    async def main():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append("main")

    async def other():
        task.append(asyncio.create_task(main()))
        await main()

    task = []
    with pytest.raises(NothingToDo, match="would hang for ever"):
        run_virtual(other(), loop=loop)
    assert cleaned == ["main", "main"]
    assert task[0].cancelled()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    assert run_virtual(asyncio.sleep(1, "well")) == "well"
    gc.collect()


def test_what_is_left_over_is_cancelled_as_asyncio_run_does():
    ended = []

    async def left_over():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def values():
        try:
            yield 1
            yield 2
        finally:
            ended.append("generator closed")

    async def main(loop):
        tasks.add(asyncio.create_task(left_over()))
        given = values()
        assert await anext(given) == 1
        generators.append(given)
        return loop

    tasks, generators = set(), []
    loop = run_virtual(main)
    assert ended == ["cancelled", "generator closed"]
    assert loop.is_closed()
    assert loop.time() == 1000.0


def test_an_error_of_the_work_comes_out():
    async def main(loop):
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        run_virtual(main)


def test_threads_of_an_executor_work_in_real_time_while_virtual_time_stands():
    async def main(loop):
        event = threading.Event()
        background = asyncio.create_task(asyncio.sleep(5))
        waiting = asyncio.create_task(asyncio.to_thread(event.wait))
        await asyncio.sleep(0)
        assert loop.busy_threads == 1
        threading.Thread(target=event.set).start()
        assert await waiting is True
        assert loop.busy_threads == 0
        assert loop.time() == 1000.0
        await background
        assert loop.time() == 1005.0

    run_virtual(main)


def test_a_thread_that_ends_after_the_work_is_waited_for():
    """The end of a loop waits for its executor, for which nothing on virtual time is a measure."""
    ended = []
    slow = threading.Event()

    def work():
        slow.wait()
        ended.append(True)

    async def main(loop):
        task = loop.run_in_executor(None, work)
        task.cancel()
        threading.Timer(0.05, slow.set).start()  # the one thing here that real time has to pass for

    run_virtual(main)
    assert ended == [True]


def test_work_that_no_executor_takes_leaves_the_time_going():
    async def main(loop):
        class Broken:
            def submit(self, *args):
                raise RuntimeError("shut down")

        with pytest.raises(RuntimeError, match="shut down"):
            loop.run_in_executor(Broken(), int)
        assert loop.busy_threads == 0
        await asyncio.sleep(5)

    run_virtual(main)


def test_a_plain_thread_waits_for_an_event_or_lets_the_time_pass():
    loop = VirtualLoop()
    try:
        event = threading.Event()
        assert loop.wait(event, 5.0) is False
        assert loop.time() == 1005.0
        threading.Thread(target=event.set).start()
        assert loop.wait(event, None) is True
        assert loop.wait(event, 5.0) is True
        assert loop.time() == 1005.0
    finally:
        loop.close()


def test_plain_functions_in_threads_share_a_pipeline_with_coroutines():
    async def main(loop):
        pipeline = Pipeline("search", Bulkhead(max_concurrent=1), Timeout(5.0), clock=loop)
        results = await asyncio.gather(
            *(asyncio.to_thread(pipeline.call_sync, len, "four") for _ in range(8)),
            *(pipeline.call(asyncio.sleep, 0, "well") for _ in range(3)),
        )
        assert results == [4] * 8 + ["well"] * 3
        assert pipeline.snapshot()["bulkhead"].in_flight == 0

    run_virtual(main)


def test_sockets_work():
    async def main(loop):
        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        await asyncio.sleep(60)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        line = await reader.readline()
        writer.close()
        server.close()
        return line

    assert run_virtual(main) == b"hello\n"


def test_a_loop_can_be_given_and_is_closed_after():
    loop = VirtualLoop(start=5.0, wall=10.0)

    async def main(clock):
        assert clock is loop
        return clock.wall() - clock.time()

    assert run_virtual(main, loop=loop) == 5.0
    assert loop.is_closed()
