"""Plain threads that want the same at the same time share one call."""

import threading
from functools import partial

import pytest

from sengol_api.resilience.deadline import deadline, remaining
from sengol_api.resilience.errors import DeadlineExceeded, TimedOut
from sengol_api.resilience.testing import ManualClock, Script
from support.threads import WaitingClock, in_threads
from support.toolkit.coalescing import make


def run_threads(count, work):
    return in_threads(*(partial(work, number) for number in range(count)))


def test_eight_threads_share_one_call():
    clock = WaitingClock()
    pipeline, cache = make(clock)
    calls = []

    def upstream(query):
        calls.append(query)
        for _ in range(7):
            clock.waiting.acquire()
        return ["answer"]

    results = run_threads(8, lambda number: pipeline.call_sync(upstream, "a"))
    assert results == [["answer"]] * 8
    assert len({id(each) for each in results}) == 8
    assert calls == ["a"]
    assert (cache.snapshot().misses, cache.snapshot().coalesced) == (1, 7)


def test_threads_share_an_error_too():
    clock = WaitingClock()
    pipeline, cache = make(clock)

    def upstream(query):
        for _ in range(7):
            clock.waiting.acquire()
        raise ValueError("no")

    results = run_threads(8, lambda number: pipeline.call_sync(upstream, "a"))
    assert {str(each) for each in results} == {"no"}
    assert (cache.snapshot().misses, cache.snapshot().coalesced, cache.snapshot().in_flight) == (1, 7, 0)


def test_a_thread_that_is_interrupted_harms_no_other():
    clock = WaitingClock()
    pipeline, _ = make(clock)
    calls = []

    def upstream(query):
        calls.append(query)
        if len(calls) == 1:
            for _ in range(7):
                clock.waiting.acquire()
            raise KeyboardInterrupt
        return "answer"

    results = run_threads(8, lambda number: pipeline.call_sync(upstream, "a"))
    assert sorted(map(repr, results)) == ["'answer'"] * 7 + ["KeyboardInterrupt()"]


def test_a_thread_with_more_time_does_not_take_the_failure_of_one_with_less():
    clock = WaitingClock()
    pipeline, _ = make(clock)
    leading = threading.Event()
    calls = []

    def upstream(query):
        calls.append(remaining())
        if len(calls) == 1:
            leading.set()
            for _ in range(3):
                clock.waiting.acquire()
            raise TimeoutError("its deadline")
        return "answer"

    def work(number):
        if number == 0:
            with deadline(1.0, clock=clock):
                return pipeline.call_sync(upstream, "a")
        leading.wait()
        if number == 1:
            with deadline(0.5, clock=clock):
                return pipeline.call_sync(upstream, "a")
        if number == 2:
            with deadline(9.0, clock=clock):
                return pipeline.call_sync(upstream, "a")
        return pipeline.call_sync(upstream, "a")

    results = run_threads(4, work)
    assert [type(each) for each in results] == [TimeoutError, TimeoutError, str, str]
    assert calls[0] == 1.0


def test_a_thread_waits_no_longer_than_its_deadline():
    clock = ManualClock()
    pipeline, cache = make(clock)
    shared, starts = cache._shared.join("a")
    assert starts
    with pytest.raises(TimedOut) as caught, deadline(2.0, clock=clock):
        pipeline.call_sync(Script("never").sync, "a")
    assert caught.value.by_deadline
    assert clock.slept == [2.0]
    with pytest.raises(DeadlineExceeded), deadline(0.0, clock=clock):
        pipeline.call_sync(Script("never").sync, "a")
    cache._shared.run(shared, lambda: None)


def test_threads_make_each_their_own_of_what_cannot_be_shared():
    clock = WaitingClock()
    pipeline, _ = make(clock, copy=lambda value: 1 / 0)
    calls = []

    def upstream(query):
        calls.append(query)
        if len(calls) == 1:
            for _ in range(3):
                clock.waiting.acquire()
        return [len(calls)]

    results = run_threads(4, lambda number: pipeline.call_sync(upstream, "a"))
    assert all(isinstance(each, list) for each in results)
    assert len(calls) == 4
