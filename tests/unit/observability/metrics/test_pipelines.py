"""Calls and attempts: how many, how they ended, how long they took."""

import asyncio

import pytest

from sengol_api.observability.metrics.model import gathered
from sengol_api.observability.metrics.pipelines import PipelineCalls
from sengol_api.resilience import Cache, CircuitBreaker, CircuitOpen, Registry, Retry, TimedOut, Timeout
from sengol_api.resilience.testing import ManualClock, Script, hang, run_virtual


def measured(*policies, clock=None):
    registry, calls = Registry(clock=clock or ManualClock()), PipelineCalls()
    registry.instrument(calls)
    registry.subscribe(calls.heard)
    return registry.pipeline("search", *policies), lambda name: gathered(calls.collect()).get(name, {})


def by_outcome(values):
    return {outcome: count for (_, outcome), count in values.items() if count}


def test_calls_and_attempts_are_told_apart():
    pipeline, found = measured(Cache(key=str), Retry(initial_delay=0.0), CircuitBreaker())
    work = Script(ConnectionError(), "hit").sync
    pipeline.call_sync(work, 1)
    pipeline.call_sync(work, 1)
    pipeline["circuit_breaker"].isolate()
    with pytest.raises(CircuitOpen):
        pipeline.call_sync(work, 2)
    assert by_outcome(found("sengol_pipeline_calls_total")) == {"success": 2.0, "rejected": 1.0}
    assert by_outcome(found("sengol_pipeline_attempts_total")) == {"success": 1.0, "error": 1.0}
    assert sum(found("sengol_pipeline_call_duration_seconds")[("search",)][1:]) == 2.0  # what was refused took no time
    assert sum(found("sengol_pipeline_attempt_duration_seconds")[("search",)][1:]) == 2.0


def test_every_end_of_a_call_has_its_word():
    async def main(loop):
        pipeline, found = measured(Timeout(1.0), clock=loop)
        with pytest.raises(TimedOut):
            await pipeline.call(Script(hang))
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError()))
        with pytest.raises(TimeoutError):  # of the work itself
            await pipeline.call(Script(TimeoutError()))
        task = asyncio.create_task(pipeline.call(Script(hang)))
        await asyncio.sleep(0)
        assert found("sengol_pipeline_calls_in_flight") == {("search",): 1.0}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await pipeline.call(Script("hit"))
        return found

    found = run_virtual(main)
    ends = {"timeout": 1.0, "error": 2.0, "cancelled": 1.0, "success": 1.0}
    assert by_outcome(found("sengol_pipeline_calls_total")) == ends
    assert by_outcome(found("sengol_pipeline_attempts_total")) == ends
    assert found("sengol_pipeline_calls_in_flight") == {("search",): 0.0}


def test_a_pipeline_is_shown_before_its_first_call():
    _, found = measured()
    assert found("sengol_pipeline_calls_total")[("search", "error")] == 0.0


def test_events_and_changes_of_state_are_counted():
    pipeline, found = measured(Retry(initial_delay=0.0), CircuitBreaker())
    pipeline["circuit_breaker"].isolate()
    pipeline["circuit_breaker"].reset()
    pipeline.call_sync(Script(ConnectionError(), "hit").sync)
    assert found("sengol_circuit_breaker_transitions_total") == {("search", "ISOLATED"): 1.0, ("search", "CLOSED"): 1.0}
    assert found("sengol_policy_events_total") == {("search", "CircuitChanged"): 2.0, ("search", "Retrying"): 1.0}
