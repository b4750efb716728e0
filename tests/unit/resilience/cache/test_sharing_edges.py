"""Calls that several wait for, when they end in an unusual way, and what is left behind."""

import asyncio
import gc
import threading
import weakref

import pytest

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.deadline import deadline
from sengol_api.resilience.errors import TimedOut
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.threads import WaitingClock, in_threads


class StopEverythingError(BaseException):
    """Of the kind that no policy takes for a failure."""


class WatchedError(Exception):
    """Tells where it is made whether it is still there. (Built-in exceptions take no weak reference.)"""

    def __init__(self, watch):
        super().__init__("down")
        watch.append(weakref.ref(self))


def make(clock, **options):
    return Pipeline("search", Cache(**{"key": lambda query="a": query, "ttl": 10.0, **options}), clock=clock)


class Upstream:
    """Work whose first calls end only when so many others wait for each."""

    def __init__(self, clock, others, *steps):
        self.clock = clock
        self.others = list(others)
        self.script = Script(*steps)
        self.begun = threading.Event()

    def __call__(self):
        others = self.others.pop(0) if self.others else 0
        self.begun.set()
        for _ in range(others):
            self.clock.waiting.acquire(timeout=120)
        return self.script.sync()


# Threads


def test_of_the_threads_that_waited_for_an_interrupted_call_one_makes_the_next():
    clock = WaitingClock()
    pipeline = make(clock)
    upstream = Upstream(clock, [3, 2], StopEverythingError, "answer")

    def later():
        upstream.begun.wait()
        return pipeline.call_sync(upstream)

    results = in_threads(lambda: pipeline.call_sync(upstream), later, later, later)
    assert isinstance(results[0], StopEverythingError)
    assert results[1:] == ["answer"] * 3
    assert len(upstream.script.calls) == 2


def test_threads_that_cannot_share_a_value_do_not_wait_for_each_other():
    clock = WaitingClock()
    pipeline = make(clock, copy=lambda value: 1 / 0)
    together = threading.Barrier(2)
    upstream = Upstream(clock, [2], ["for the first"])

    def second():
        if upstream.begun.is_set():
            together.wait(120)
        return ["for another"]

    def later():
        upstream.begun.wait()
        return pipeline.call_sync(second)

    results = in_threads(lambda: pipeline.call_sync(upstream), later, later)
    assert results == [["for the first"], ["for another"], ["for another"]]


def test_a_thread_with_more_time_takes_the_answer_of_one_with_less():
    clock = WaitingClock()
    pipeline = make(clock)
    upstream = Upstream(clock, [1], "answer", "never")

    def first():
        with deadline(1.0, clock=clock):
            return pipeline.call_sync(upstream)

    def later():
        upstream.begun.wait()
        return pipeline.call_sync(upstream)

    assert in_threads(first, later) == ["answer", "answer"]
    assert len(upstream.script.calls) == 1


def test_a_thread_with_just_as_much_time_takes_the_failure_too():
    clock = WaitingClock()
    pipeline = make(clock)
    upstream = Upstream(clock, [1], ConnectionError("down"), "never")

    def first():
        with deadline(1.0, clock=clock):
            return pipeline.call_sync(upstream)

    def later():
        upstream.begun.wait()
        return first()

    results = in_threads(first, later)
    assert [str(each) for each in results] == ["down", "down"]
    assert len(upstream.script.calls) == 1


def test_a_caller_who_waited_as_long_as_it_could_is_told_how_long_that_was():
    clock = ManualClock()
    pipeline = make(clock)
    cut = []

    def inner():
        with deadline(2.5, clock=clock), pytest.raises(TimedOut) as raised:
            pipeline.call_sync(Script("never").sync)
        cut.append(raised.value)
        return "answer"

    def work():  # another thread that wants the same meanwhile
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()
        return "answer"

    pipeline.call_sync(work)
    assert [each.limit for each in cut] == [2.5]

    async def main(loop):
        with pytest.raises(TimedOut) as raised, deadline(2.5, clock=loop):
            await make(loop).call(Script(hang))
        assert raised.value.limit == 2.5
        assert raised.value.policy == "cache"

    run_virtual(main)


def test_calls_of_threads_and_of_a_loop_go_on_beside_each_other():
    pipeline = make(ManualClock())

    def work():
        return asyncio.run(main())

    async def main():
        return await pipeline.call(Script("of the loop"), "b")

    def in_another_thread():
        results = in_threads(work)
        return results[0]

    assert pipeline.call_sync(lambda query: in_another_thread(), "a") == "of the loop"
    assert pipeline["cache"].get("b") == "of the loop"


def test_an_error_of_a_refresh_leaves_with_the_refresh():
    clock = ManualClock()
    pipeline = make(clock, stale_while_revalidate=10.0)
    pipeline.call_sync(Script("old").sync)
    clock.advance(11.0)
    gone = []

    def fail():
        raise WatchedError(gone)  # in no variable: the traceback has this frame

    gc.collect()
    gc.disable()
    try:
        assert pipeline.call_sync(fail) == "old"
        assert [error() for error in gone] == [None]
    finally:
        gc.enable()


# Event loops


def test_an_error_that_is_no_failure_reaches_the_caller_as_it_is():
    async def main(loop):
        pipeline = make(loop)

        async def stops():
            await loop.sleep(1.0)
            raise StopEverythingError

        with pytest.raises(StopEverythingError):
            await pipeline.call(stops)
        assert await pipeline.call(Script("well")) == "well"

    run_virtual(main)


def test_an_interruption_of_a_refresh_in_the_background_stops_the_program():
    async def main(loop):
        pipeline = make(loop, stale_while_revalidate=10.0)
        await pipeline.call(Script("old"))
        await loop.sleep(11.0)

        async def stops():
            raise SystemExit(3)

        assert await pipeline.call(stops) == "old"
        await loop.sleep(1.0)

    with pytest.raises(SystemExit):
        run_virtual(main)


def test_who_joins_a_refresh_that_fails_gets_its_error():
    async def main(loop):
        pipeline = make(loop, stale_while_revalidate=1.0)
        await pipeline.call(Script("old"))
        await loop.sleep(10.5)
        upstream = Script(after(5.0, ConnectionError("down")), "never")
        assert await pipeline.call(upstream) == "old"
        await loop.sleep(1.0)
        with pytest.raises(ConnectionError, match="down"):
            await pipeline.call(upstream)
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_no_timer_stays_behind_a_call_that_was_answered_in_time():
    async def main(loop):
        with deadline(1000.0, clock=loop):
            assert await make(loop).call(Script(after(1.0, "answer"))) == "answer"
        left = [timer for timer in loop._scheduled if not timer.cancelled()]
        assert len(left) == 1, "that of the deadline itself"

    run_virtual(main)


def test_a_waiter_whose_timer_cannot_be_set_does_not_keep_the_call_alive():
    async def main(loop):
        pipeline = make(loop)
        upstream = Script(hang)

        def broken(*_):
            raise OverflowError

        loop.call_later = broken
        with pytest.raises(OverflowError), deadline(5.0, clock=loop):
            await pipeline.call(upstream)
        del loop.call_later
        await asyncio.sleep(1.0)
        assert pipeline["cache"].snapshot().in_flight == 0

    run_virtual(main)


def test_a_loop_that_was_closed_is_let_go_at_once():
    pipeline = make(ManualClock())
    loop = asyncio.new_event_loop()
    gone = weakref.ref(loop)
    assert loop.run_until_complete(pipeline.call(Script("answer"))) == "answer"
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_a_loop_that_was_closed_in_the_middle_of_a_call_is_let_go_by_the_next_call():
    pipeline = make(ManualClock())
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it will say that a task was destroyed
    gone = weakref.ref(loop)

    async def begin():
        asyncio.ensure_future(pipeline.call(Script(hang)))  # noqa: RUF006 - left alone on purpose
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.0)

    loop.run_until_complete(begin())
    loop.close()
    del loop
    assert asyncio.run(_called(pipeline)) == "answer"
    gc.collect()
    assert gone() is None


async def _called(pipeline):
    return await pipeline.call(Script("answer"))
