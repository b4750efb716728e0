"""What policies tell, in the log: changes of state each, what comes with calls at most once a minute."""

import dataclasses
import logging

import pytest

from sengol_api.observability.events import CHANGES, MESSAGES, EventLog
from sengol_api.observability.facts import ELSEWHERE, TOLD, WITHHELD, facts_of_event
from sengol_api.observability.logging import JsonFormatter
from sengol_api.resilience import (
    Cache,
    CircuitBreaker,
    CircuitChanged,
    CircuitState,
    Event,
    FellBack,
    HedgeWon,
    Registry,
    Retry,
    Retrying,
    StaleServed,
)
from sengol_api.resilience.testing import ManualClock, Script

CANARY = "canary-7f3a"


def kinds(kind=Event):
    return {
        each for sub in kind.__subclasses__() if sub.__module__.startswith("sengol_api.resilience.") for each in {sub, *kinds(sub)}
    }


@pytest.fixture
def heard(caplog):
    """An event log on a clock of the test's own, with its lines as message, level and facts."""
    clock = ManualClock()
    log = EventLog(clock.now)

    def lines():
        found = [(record.getMessage(), record.levelname, record) for record in caplog.records]
        caplog.clear()
        return found

    caplog.set_level(logging.INFO, "sengol_api")
    return log, clock, lines


def retrying(pipeline="dvecdb", error=None):
    return Retrying(pipeline=pipeline, policy="retry", at=0.0, attempt=1, delay=0.5, error=error)


def changed(state, error=None):
    return CircuitChanged(
        pipeline="dvecdb",
        policy="circuit_breaker",
        at=0.0,
        previous=CircuitState.CLOSED,
        state=state,
        generation=1,
        reason="5 failures",
        error=error,
        retry_after=60.0,
    )


def test_every_field_of_every_event_is_told_or_withheld_on_purpose():
    fields = {field.name for kind in kinds() for field in dataclasses.fields(kind)}
    assert fields == TOLD | WITHHELD | ELSEWHERE
    assert not TOLD & WITHHELD
    assert set(MESSAGES) <= kinds()
    assert set(CHANGES) <= set(MESSAGES)


def test_a_breaker_that_changes_is_one_line_each_time(heard):
    log, _, lines = heard
    for state in (CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.OPEN, CircuitState.ISOLATED, CircuitState.CLOSED):
        log.heard(changed(state))
    told = lines()
    assert [(level, record.state) for _, level, record in told] == [
        ("WARNING", "OPEN"), ("INFO", "HALF_OPEN"), ("WARNING", "OPEN"), ("WARNING", "ISOLATED"), ("INFO", "CLOSED"),
    ]  # fmt: skip
    first = told[0][2]
    assert (first.pipeline, first.previous, first.reason, first.retry_after) == ("dvecdb", "CLOSED", "5 failures", 60.0)


def test_what_comes_with_calls_is_a_line_a_minute_with_how_many_there_were(heard):
    log, clock, lines = heard
    for _ in range(1000):
        log.heard(retrying())
    log.heard(retrying("openai"))
    assert [(message, record.pipeline) for message, _, record in lines()] == [
        ("attempts failed and are made again", "dvecdb"),
        ("attempts failed and are made again", "openai"),
    ]
    clock.advance(59.0)
    log.heard(retrying())
    assert lines() == []
    clock.advance(2.0)
    log.heard(retrying())
    ((_, _, record),) = lines()
    assert record.times == 1001
    clock.advance(61.0)
    log.heard(retrying())
    ((_, _, record),) = lines()
    assert not hasattr(record, "times")


def test_at_debug_each_is_told(heard, caplog):
    log, _, lines = heard
    caplog.set_level(logging.DEBUG, "sengol_api")
    for _ in range(3):
        log.heard(retrying())
    log.heard(HedgeWon(pipeline="dvecdb", policy="hedge", at=0.0, took=0.25))
    told = lines()
    assert [message for message, _, _ in told] == ["attempts failed and are made again"] * 3 + ["HedgeWon"]
    assert told[-1][2].took == 0.25


def test_above_the_level_that_is_logged_nothing_is_told_or_counted(heard, caplog):
    log, _, lines = heard
    log.heard(HedgeWon(pipeline="dvecdb", policy="hedge", at=0.0, took=0.25))
    caplog.set_level(logging.ERROR, "sengol_api")
    log.heard(changed(CircuitState.OPEN))
    log.heard(retrying())
    assert lines() == []


def test_no_key_and_no_text_of_an_error_is_told(heard):
    log, _, lines = heard

    def failed():
        with pytest.raises(ConnectionError) as failure:
            raise ConnectionError(f"cannot reach {CANARY}")
        return failure.value

    log.heard(StaleServed(pipeline="dvecdb", policy="cache", at=0.0, key=CANARY, age=5.0, error=failed()))
    log.heard(FellBack(pipeline="dvecdb", policy="fallback", at=0.0, label="keyword", error=failed()))
    log.heard(changed(CircuitState.OPEN, failed()))
    told = [JsonFormatter().format(record) for _, _, record in lines()]
    assert len(told) == 3
    assert CANARY not in str(told)
    assert all('"error":"ConnectionError: (text withheld)"' in line for line in told)
    assert facts_of_event(StaleServed(pipeline="x", policy="cache", at=0.0, key=CANARY, age=5.0, error=failed())) == {
        "policy": "cache", "age": 5.0, "error": "ConnectionError",
    }  # fmt: skip


def test_an_outage_of_a_thousand_calls_is_a_few_lines(heard):
    log, clock, lines = heard
    registry = Registry(clock=clock)
    registry.subscribe(log.heard)
    search = registry.pipeline(
        "dvecdb", Cache(key=str, ttl=1.0, stale_if_error=3600.0), Retry(initial_delay=0.01, jitter="none"), CircuitBreaker()
    )
    search.call_sync(str, "x")
    for _ in range(1000):
        clock.advance(0.02)
        search.call_sync(Script(ConnectionError()).sync, "x")
    messages = [message for message, _, _ in lines()]
    assert messages.count("circuit breaker changed") == 1
    assert len(messages) < 10
