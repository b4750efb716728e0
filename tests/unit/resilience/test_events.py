"""Events reach those who listen, and nothing that a listener does reaches the call."""

import asyncio
import sys
import threading

import pytest

from sengol_api.resilience import (
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    DeadlineExceeded,
    OptionsError,
    Pipeline,
    Registry,
    TimedOut,
    Timeout,
    deadline,
)
from sengol_api.resilience.events import CallRejected, Event, Events, report
from sengol_api.resilience.testing import ManualClock, Script, hang, run_virtual
from sengol_api.resilience.timeout import AttemptTimedOut


def event(kind=Event, **fields):
    return kind(pipeline="search", policy="gate", at=0.0, **fields)


async def hang_up(event):
    """A coroutine that nobody would await."""


@pytest.fixture
def shown(monkeypatch):
    """What a program's own hook is told."""
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    return told


def test_a_listener_is_told_of_the_types_that_it_asked_for_in_order():
    events = Events()
    heard = []
    events.subscribe(lambda each: heard.append(("all", each)))
    events.subscribe(lambda each: heard.append(("rejected", each)), CallRejected)
    plain, rejected = event(), event(CallRejected, error=BulkheadFull("search", "gate"))
    events.emit(plain)
    events.emit(rejected)
    assert heard == [("all", plain), ("all", rejected), ("rejected", rejected)]


def test_nobody_is_asked_for_an_event_that_nobody_wants():
    events = Events()
    assert not events.wants(Event)
    unsubscribe = events.subscribe(print, CallRejected)
    assert events.wants(CallRejected)
    assert not events.wants(AttemptTimedOut)
    unsubscribe()
    assert not events.wants(CallRejected)


@pytest.mark.parametrize("subscriber", [Events(), Pipeline("search"), Registry()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    ("listener", "types", "problem"),
    [
        (3, (), "listener=3 is not allowed, it takes a plain function"),
        (hang_up, (), f"listener={hang_up!r} is not allowed, it takes a plain function"),
        (print, ("CircuitChanged",), "'CircuitChanged' is no type of event, as CircuitChanged is one"),
        (print, (AttemptTimedOut, TimedOut), f"{TimedOut!r} is no type of event, as CircuitChanged is one"),
    ],
    ids=["number", "coroutine function", "text", "error"],
)
def test_who_cannot_be_told_and_what_is_no_event_is_refused_at_once(subscriber, listener, types, problem):
    with pytest.raises(OptionsError) as refused:
        subscriber.subscribe(listener, *types)
    assert refused.value.problems == (problem,)


def test_a_listener_that_a_registry_refused_does_not_come_back_with_the_next_pipeline():
    registry = Registry()
    registry.pipeline("search")
    with pytest.raises(OptionsError):
        registry.subscribe("print")
    with pytest.raises(OptionsError):
        registry.instrument("print")
    registry.pipeline("chat")


def test_the_same_listener_can_subscribe_twice_and_each_ends_for_itself():
    events = Events()
    heard = []
    first = events.subscribe(heard.append)
    events.subscribe(heard.append)
    first()
    first()
    events.emit(event())
    assert len(heard) == 1


def test_listeners_may_come_and_go_while_an_event_is_told():
    events = Events()
    heard = []

    def once(each):
        heard.append("once")
        leave()
        events.subscribe(lambda each: heard.append("newcomer"))

    leave = events.subscribe(once)
    events.subscribe(lambda each: heard.append("second"))
    events.emit(event())
    assert heard == ["once", "second"]
    events.emit(event())
    assert heard == ["once", "second", "second", "newcomer"]


def test_listeners_of_eight_threads_are_all_kept():
    events = Events()
    heard = []
    threads = [threading.Thread(target=lambda: [events.subscribe(heard.append) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events.emit(event())
    assert len(heard) == 800


def test_a_listener_that_raises_is_counted_and_shown_and_the_others_are_told(shown):
    events = Events()
    heard = []
    error = ValueError("bad listener")

    def bad(each):
        raise error

    events.subscribe(bad)
    events.subscribe(heard.append)
    events.emit(event())
    events.emit(event())
    assert len(heard) == 2
    assert events.errors == 2
    assert (shown[0].exc_type, shown[0].exc_value, shown[0].object) == (ValueError, error, bad)
    assert shown[-1].exc_traceback is error.__traceback__
    assert "'search'" in shown[0].err_msg


def test_a_listener_that_raises_does_not_change_what_a_call_gets_under_pythons_own_hook(monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)

    def bad(each):
        raise ValueError("bad listener")

    async def main(loop):
        pipeline = Pipeline("search", Bulkhead(max_concurrent=1, max_queue=0), Timeout(1.0), clock=loop)
        pipeline.subscribe(bad)
        first = asyncio.create_task(pipeline.call(Script(hang)))
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull):
            await pipeline.call(Script("never"))
        with pytest.raises(TimedOut):
            await first
        assert await pipeline.call(Script("well")) == "well"
        assert pipeline.events.errors == 2

    run_virtual(main)
    printed = capsys.readouterr().err
    assert "a listener to the events of pipeline 'search' raised" in printed
    assert printed.count("ValueError: bad listener") == 2


def test_an_error_is_shown_by_a_hook_that_passes_it_on_to_pythons_own(monkeypatch, capsys):
    told = []

    def hook(args):
        told.append(args.exc_value)
        sys.__unraisablehook__(args)

    monkeypatch.setattr(sys, "unraisablehook", hook)
    report(ValueError("lost"), "nobody could receive this", "here")
    assert [str(each) for each in told] == ["lost"]
    assert "nobody could receive this: 'here'" in capsys.readouterr().err


def test_without_a_standard_error_a_report_is_silent(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(sys, "stderr", None)
    report(ValueError("lost"), "nobody could receive this", "here")


def test_every_refused_call_is_an_event_with_the_error_that_its_caller_got():
    heard = []

    async def main(loop):
        pipeline = Pipeline("search", Bulkhead(max_concurrent=1, max_queue=0), Timeout(1.0), clock=loop)
        pipeline.subscribe(heard.append, CallRejected)
        with deadline(0, clock=loop), pytest.raises(DeadlineExceeded) as late:
            await pipeline.call(Script("never"))
        first = asyncio.create_task(pipeline.call(Script(hang)))
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull) as full:
            await pipeline.call(Script("never"))
        first.cancel()
        assert [each.error for each in heard] == [late.value, full.value]
        assert [(each.pipeline, each.policy, each.at) for each in heard] == [
            ("search", "timeout", loop.wall()),
            ("search", "bulkhead", loop.wall()),
        ]

    run_virtual(main)


@pytest.mark.parametrize("way", ["open_for", "isolate"])
def test_a_call_that_a_breaker_refuses_is_an_event_for_coroutines_and_plain_functions(way):
    heard = []

    async def main(loop):
        pipeline = Pipeline("search", CircuitBreaker(), clock=loop)
        breaker = pipeline["circuit_breaker"]
        breaker.isolate() if way == "isolate" else breaker.open_for(60.0)
        pipeline.subscribe(heard.append, CallRejected)
        with pytest.raises(CircuitOpen) as first:
            await pipeline.call(Script("never"))
        with pytest.raises(CircuitOpen) as second:
            pipeline.call_sync(Script("never").sync)
        assert [each.error for each in heard] == [first.value, second.value]
        assert pipeline.snapshot()["circuit_breaker"].rejected == 2

    run_virtual(main)


def test_a_call_refused_for_its_deadline_is_an_event_without_any_policy_and_in_plain_functions():
    heard = []
    clock = ManualClock()
    for pipeline in (Pipeline("bare", clock=clock), Pipeline("limited", Timeout(1.0), clock=clock)):
        pipeline.subscribe(heard.append, CallRejected)
        with deadline(0, clock=clock), pytest.raises(DeadlineExceeded):
            pipeline.call_sync(Script("never").sync)
    assert [(each.pipeline, each.policy) for each in heard] == [("bare", "deadline"), ("limited", "timeout")]
