"""One breaker for coroutines and plain functions, several threads, several event loops."""

import asyncio
import threading

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.threads import in_threads

MODES = [{}, {"trip_on": "consecutive"}, {"trip_on": "rate"}, {"window_calls": 100}, {"slow_call": 1.0}]


def in_eight_threads(work):
    assert in_threads(*[work] * 8) == [None] * 8


class NoLock:
    """In the place of a lock that nobody is to take."""

    def __enter__(self):
        raise AssertionError("a lock was taken")

    def __exit__(self, *_):
        """Never reached."""


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("mode", [{}, {"reset_timeout": 0.5}], ids=["closed", "open"])
def test_calls_that_pass_and_calls_that_are_refused_take_no_lock(kind, mode, monkeypatch):
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, **mode), clock=ManualClock())
    work = Script("well")
    call = (lambda: pipeline.call_sync(work.sync)) if kind == "sync" else (lambda: asyncio.run(pipeline.call(work)))
    if mode:
        pipeline["circuit_breaker"].open_for(0.5)
    monkeypatch.setattr(pipeline["circuit_breaker"].core, "_lock", NoLock())
    if mode:
        with pytest.raises(CircuitOpen):
            call()
    else:
        assert call() == "well"


@pytest.mark.parametrize("mode", MODES)
def test_eight_threads_lose_no_count(mode):
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=100, **mode), clock=ManualClock())

    def calls():
        for _ in range(500):
            pipeline.call_sync(int)

    in_eight_threads(calls)
    assert pipeline.snapshot()["circuit_breaker"].success_count == 4000


def test_eight_threads_open_it_once():
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=100), clock=ManualClock())
    changes, made = [], Script(ConnectionError)
    pipeline.subscribe(changes.append, CircuitChanged)

    def calls():
        for _ in range(100):
            with pytest.raises((ConnectionError, CircuitOpen)):
                pipeline.call_sync(made.sync)

    in_eight_threads(calls)
    assert [change.state for change in changes] == ["OPEN"]
    snapshot = pipeline.snapshot()["circuit_breaker"]
    assert snapshot.failure_count == 100
    assert len(made.calls) + snapshot.rejected == 800


def test_of_eight_threads_only_the_probes_pass_a_half_open_breaker():
    clock = ManualClock()
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=2, success_threshold=2), clock=clock)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    clock.advance(60)
    all_done, passed, rejected = threading.Barrier(8), [], []

    def probe():
        passed.append(1)
        all_done.wait()  # no probe ends before each of the eight has been let in or rejected

    def call():
        try:
            pipeline.call_sync(probe)
        except CircuitOpen:
            rejected.append(1)
            all_done.wait()

    in_eight_threads(call)
    assert (len(passed), len(rejected)) == (2, 6)
    assert pipeline["circuit_breaker"].state == "CLOSED"


def test_probes_that_are_given_back_while_others_look_for_a_slot_leave_none_behind():
    clock = ManualClock()
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=4), clock=clock)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    clock.advance(60)

    def calls():
        for _ in range(500):
            with pytest.raises((KeyboardInterrupt, CircuitOpen)):
                pipeline.call_sync(Script(KeyboardInterrupt).sync)

    in_eight_threads(calls)
    snapshot = pipeline.snapshot()["circuit_breaker"]
    assert (snapshot.state, snapshot.probes) == ("HALF_OPEN", 0)


def test_each_change_is_told_once_whoever_tells_it():
    pipeline = Pipeline("upstream", CircuitBreaker(), clock=ManualClock())
    breaker, generations = pipeline["circuit_breaker"], []
    pipeline.subscribe(lambda change: generations.append(change.generation), CircuitChanged)

    def changes():
        for _ in range(100):
            breaker.isolate()
            breaker.reset()

    in_eight_threads(changes)
    assert sorted(generations) == list(range(1, 1601))


def test_a_change_that_another_thread_is_telling_is_left_to_it():
    class Emptied:
        """A queue that another thread empties between a look and a grasp."""

        def __bool__(self):
            return True

        def popleft(self):
            raise IndexError

    breaker = Pipeline("upstream", CircuitBreaker())["circuit_breaker"]
    breaker.core._changes = Emptied()
    breaker.core.tell()


def test_two_event_loops_in_a_row_and_threads_share_one_breaker():
    clock = ManualClock()
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=3, success_threshold=2), clock=clock)

    async def fail():
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))

    asyncio.run(fail())
    asyncio.run(fail())
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    with pytest.raises(CircuitOpen):
        asyncio.run(pipeline.call(Script("well")))
    clock.advance(60)
    assert asyncio.run(pipeline.call(Script("well"))) == "well"
    assert pipeline.call_sync(Script("well").sync) == "well"
    assert pipeline["circuit_breaker"].state == "CLOSED"


def test_decorated_functions_of_both_kinds_trip_it():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=2), clock=loop)

        @pipeline
        async def query():
            raise ConnectionError

        @pipeline
        def query_sync():
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await query()
        with pytest.raises(ConnectionError):
            query_sync()
        with pytest.raises(CircuitOpen):
            await query()
        with pytest.raises(CircuitOpen):
            query_sync()

    run_virtual(main)
