"""Isolating, disabling, opening and resetting a breaker, also while calls are under way."""

import asyncio

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, OptionsError, Pipeline
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.events import CallRejected
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.tasks import started


def built(clock, **options):
    pipeline = Pipeline("upstream", CircuitBreaker(**{"failure_threshold": 2, "success_threshold": 1, **options}), clock=clock)
    return pipeline, pipeline["circuit_breaker"]


def fail(pipeline, times=1):
    for _ in range(times):
        with pytest.raises(ConnectionError):
            pipeline.call_sync(Script(ConnectionError).sync)


def test_an_isolated_breaker_rejects_until_it_is_reset():
    clock = ManualClock()
    pipeline, breaker = built(clock)
    breaker.isolate()
    clock.advance(1e9)
    with pytest.raises(CircuitOpen, match="isolated by hand") as refused:
        pipeline.call_sync(int)
    assert refused.value.retry_after is None
    assert breaker.snapshot().next_attempt is None
    breaker.reset()
    assert pipeline.call_sync(int) == 0


@pytest.mark.parametrize("options", [{}, {"trip_on": "consecutive"}, {"slow_call": 1.0}, {"failure_on_result": bool}])
def test_a_disabled_breaker_lets_all_through_and_counts_nothing(options):
    pipeline, breaker = built(ManualClock(), **options)
    breaker.disable()
    fail(pipeline, 50)
    for _ in range(50):
        pipeline.call_sync(int)
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.failure_count, snapshot.recent_failures, snapshot.success_count) == ("DISABLED", 0, 0, 0)
    breaker.reset()
    fail(pipeline)
    assert breaker.state == "CLOSED"


def test_a_reset_forgets_all_failures():
    pipeline, breaker = built(ManualClock())
    fail(pipeline)
    breaker.reset()
    fail(pipeline)
    assert breaker.state == "CLOSED"
    fail(pipeline)
    assert breaker.state == "OPEN"
    breaker.reset()
    assert pipeline.call_sync(int) == 0


def test_opened_by_hand_it_rejects_for_that_time_and_then_probes():
    clock = ManualClock()
    pipeline, breaker = built(clock)
    breaker.open_for(5.0)
    with pytest.raises(CircuitOpen) as refused:
        pipeline.call_sync(int)
    assert refused.value.retry_after == 5.0
    assert breaker.snapshot().next_attempt == clock.wall() + 5.0
    clock.advance(5.0)
    assert pipeline.call_sync(int) == 0
    assert breaker.state == "CLOSED"


def test_nobody_opens_it_for_longer_than_the_longest_time():
    _, breaker = built(ManualClock(), max_reset_timeout=100.0)
    breaker.open_for(1e6)
    assert breaker.snapshot().retry_after == 100.0


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), None, "5", True])
def test_a_time_that_is_none_is_refused(seconds):
    _, breaker = built(ManualClock())
    with pytest.raises(OptionsError, match="it takes a number above 0"):
        breaker.open_for(seconds)
    assert breaker.state == "CLOSED"


@pytest.mark.parametrize("way", ["isolate", "disable", "reset"])
@pytest.mark.parametrize("outcome", [ConnectionError(), "well"])
def test_what_calls_under_way_bring_changes_nothing_any_more(way, outcome):
    async def main(loop):
        pipeline, breaker = built(loop, failure_threshold=1)
        call = await started(pipeline.call(Script(after(1.0, outcome))))
        getattr(breaker, way)()
        before = breaker.snapshot()
        await asyncio.gather(call, return_exceptions=True)
        assert breaker.snapshot() == before

    run_virtual(main)


@pytest.mark.parametrize(("way", "state"), [("isolate", "ISOLATED"), ("disable", "DISABLED"), ("reset", "CLOSED")])
@pytest.mark.parametrize("outcome", [ConnectionError(), "well"])
def test_what_probes_under_way_bring_changes_nothing_any_more(way, state, outcome):
    async def main(loop):
        pipeline, breaker = built(loop)
        fail(pipeline, 2)
        await asyncio.sleep(60)
        probe = await started(pipeline.call(Script(after(1.0, outcome))))
        assert breaker.state == "HALF_OPEN"
        getattr(breaker, way)()
        await asyncio.gather(probe, return_exceptions=True)
        snapshot = breaker.snapshot()
        assert (snapshot.state, snapshot.probes, snapshot.failure_count, snapshot.success_count) == (state, 0, 0, 0)

    run_virtual(main)


def test_a_probe_cancelled_after_a_reset_gives_back_nothing_that_it_does_not_hold():
    async def main(loop):
        pipeline, breaker = built(loop, max_probes=1)
        fail(pipeline, 2)
        await asyncio.sleep(60)
        old = await started(pipeline.call(Script(hang)))
        breaker.reset()
        fail(pipeline, 2)
        await asyncio.sleep(60)
        new = await started(pipeline.call(Script(hang)))
        old.cancel()
        await asyncio.gather(old, return_exceptions=True)
        assert breaker.snapshot().probes == 1
        with pytest.raises(CircuitOpen):
            await pipeline.call(Script("well"))
        new.cancel()

    run_virtual(main)


def test_each_change_is_told_with_its_generation_and_reason():
    clock = ManualClock()
    pipeline, breaker = built(clock, max_probes=1)
    changes, rejections = [], []
    pipeline.subscribe(changes.append, CircuitChanged)
    pipeline.subscribe(rejections.append, CallRejected)
    fail(pipeline, 2)
    with pytest.raises(CircuitOpen) as refused:
        pipeline.call_sync(int)
    clock.advance(60)
    pipeline.call_sync(int)
    breaker.isolate()
    breaker.disable()
    breaker.open_for(5.0, "maintenance")
    breaker.reset()
    assert [(change.previous, change.state, change.reason) for change in changes] == [
        ("CLOSED", "OPEN", "2 failures"),
        ("OPEN", "HALF_OPEN", "its time open is over"),
        ("HALF_OPEN", "CLOSED", "enough probes succeeded"),
        ("CLOSED", "ISOLATED", "isolated by hand"),
        ("ISOLATED", "DISABLED", "disabled by hand"),
        ("DISABLED", "OPEN", "maintenance"),
        ("OPEN", "CLOSED", "reset by hand"),
    ]
    assert [change.generation for change in changes] == list(range(1, 8))
    assert isinstance(changes[0].error, ConnectionError)
    assert [change.retry_after for change in changes] == [60.0, None, None, None, None, 5.0, None]
    assert [rejection.error for rejection in rejections] == [refused.value]


def test_a_listener_may_use_the_breaker():
    pipeline, breaker = built(ManualClock())
    states = []

    def close_again(change):
        states.append(breaker.snapshot().state)
        if change.state == "OPEN":
            breaker.reset()

    pipeline.subscribe(close_again, CircuitChanged)
    fail(pipeline, 10)
    assert states == ["OPEN", "CLOSED"] * 5


def test_one_breaker_serves_two_pipelines():
    clock = ManualClock()
    search, breaker = built(clock)
    upsert = Pipeline("upsert", breaker, clock=clock)
    fail(search)
    fail(upsert)
    for pipeline in (search, upsert):
        with pytest.raises(CircuitOpen):
            pipeline.call_sync(int)


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda breaker: breaker.open_for(5.0), "OPEN"),
        (lambda breaker: breaker.isolate(), "ISOLATED"),
        (lambda breaker: breaker.disable(), "DISABLED"),
        (lambda breaker: breaker.reset(), "CLOSED"),
    ],
    ids=["open_for", "isolate", "disable", "reset"],
)
def test_listeners_hear_at_once_of_what_is_done_by_hand(act, state):
    pipeline, breaker = built(ManualClock())
    changes = []
    pipeline.subscribe(changes.append, CircuitChanged)
    act(breaker)
    assert [change.state for change in changes] == [state]
