"""Errors that come with every request of an outage: the first in full, then their number, and none forgotten."""

import gc
import io
import logging
import weakref

import pytest

from sengol_api.observability import repeats
from sengol_api.observability.logging import JsonFormatter
from sengol_api.observability.logging import request_id as current_request_id
from sengol_api.observability.repeats import Repeats
from sengol_api.resilience.testing import ManualClock

ROUTE = "/api/review"


def refuse(kind=ConnectionError, text="refused"):
    raise kind(text)


def refuse_elsewhere():
    raise ConnectionError("refused")


class Told:
    """Repeats on a clock of the test's own, and the lines that they wrote."""

    def __init__(self, caplog) -> None:
        self.clock = ManualClock()
        self.failures = Repeats(logging.getLogger("sengol_api.request"), now=self.clock.now)
        self._caplog = caplog

    def fail(self, kind=ConnectionError, text="refused", route=ROUTE) -> None:
        """One failure, always raised in the same place."""
        self.tell(lambda: refuse(kind, text), route)

    def tell(self, work, route=ROUTE) -> None:
        """The failure of some work."""
        try:
            work()
        except OSError as error:
            self.failures.tell("operation failed", error, code="DATABASE_ERROR", route=route)

    def lines(self) -> list[logging.LogRecord]:
        """Those since the last look."""
        found = list(self._caplog.records)
        self._caplog.clear()
        return found


@pytest.fixture
def told(caplog) -> Told:
    caplog.set_level(logging.INFO, "sengol_api")
    return Told(caplog)


def test_the_first_is_told_with_its_traceback_and_those_of_the_next_minute_are_counted(told):
    for _ in range(1000):
        told.fail()
    (first,) = told.lines()
    assert (first.getMessage(), first.levelname, first.code, first.route) == ("operation failed", "ERROR", "DATABASE_ERROR", ROUTE)
    assert isinstance(first.exc_info[1], ConnectionError)
    assert not hasattr(first, "times")
    told.clock.advance(30.0)
    told.fail()
    assert told.lines() == []
    told.clock.advance(30.0)
    told.fail()
    (second,) = told.lines()
    assert (second.times, second.code, second.route) == (1001, "DATABASE_ERROR", ROUTE)
    assert second.exc_info is None
    assert second.error == "ConnectionError: (text withheld)"


def test_an_outage_of_an_hour_is_a_line_a_minute(told):
    for _ in range(3600):
        told.fail()
        told.clock.advance(1.0)
    first, *others = told.lines()
    assert first.exc_info is not None
    assert len(others) == 59
    assert all(line.exc_info is None for line in others)
    assert {line.times for line in others} == {60}


def test_after_a_minute_without_any_the_next_is_told_in_full_with_those_that_nobody_heard_of(told):
    for _ in range(5):
        told.fail()
    told.lines()
    told.clock.advance(60.0)
    told.fail()
    (line,) = told.lines()
    assert line.exc_info is not None
    assert line.times == 5
    told.clock.advance(60.0)
    told.fail()
    (line,) = told.lines()
    assert line.exc_info is not None
    assert not hasattr(line, "times")


def test_what_differs_in_class_place_or_facts_is_told_by_itself(told):
    told.fail()
    told.fail(TimeoutError)
    told.fail(route="/api/incidents")
    told.tell(refuse_elsewhere)
    assert [line.exc_info is not None for line in told.lines()] == [True] * 4


def test_texts_that_differ_each_time_are_no_kinds_of_their_own(told):
    for number in range(100):
        told.fail(text=f"refused after {number} ms")
    assert len(told.lines()) == 1


def test_when_all_is_well_again_the_rest_is_told_once_and_as_no_line_of_that_request(told):
    for _ in range(10):
        told.fail()
    told.clock.advance(59.0)
    told.failures.settle()
    assert len(told.lines()) == 1
    told.clock.advance(1.0)
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(JsonFormatter())
    token = current_request_id.set("a-request-that-succeeded")
    logging.getLogger("sengol_api.request").addHandler(handler)
    try:
        told.failures.settle()
        told.failures.settle()
    finally:
        logging.getLogger("sengol_api.request").removeHandler(handler)
        current_request_id.reset(token)
    (line,) = told.lines()
    assert (line.times, line.secondsSinceLast, line.exc_info) == (9, 60, None)
    assert "a-request-that-succeeded" not in output.getvalue()
    told.fail()
    assert told.lines()[0].exc_info is not None


def test_what_is_owed_of_one_kind_does_not_wait_for_another(told):
    told.fail()
    told.clock.advance(30.0)
    for _ in range(3):
        told.fail(TimeoutError)
    told.lines()
    told.clock.advance(30.0)
    told.failures.settle()  # nothing is owed of the first
    assert told.lines() == []
    told.clock.advance(30.0)
    told.failures.settle()
    (line,) = told.lines()
    assert (line.error, line.times) == ("TimeoutError: (text withheld)", 2)


def test_at_debug_each_is_told_in_full(told, caplog):
    caplog.set_level(logging.DEBUG, "sengol_api")
    for _ in range(3):
        told.fail()
    assert [line.exc_info is not None for line in told.lines()] == [True] * 3


def test_however_many_kinds_there_are_few_are_remembered_and_what_is_forgotten_is_told_before(told):
    for _ in range(3):
        told.fail(route="/first")
    told.lines()
    for number in range(repeats.KINDS):
        told.fail(route=f"/{number}")
    first, *others = told.lines()[-2:]
    assert (first.route, first.times, first.exc_info) == ("/first", 2, None)
    assert others[0].exc_info is not None
    told.fail(route="/first")
    assert told.lines()[-1].exc_info is not None


def test_an_error_that_was_never_raised_has_a_place_too(told):
    for _ in range(2):
        told.failures.tell("operation failed", ConnectionError(), code="X")
    assert len(told.lines()) == 1


def test_no_error_is_kept_alive():
    class HeldError(ConnectionError):
        """Of a class of ours: one of Python's own cannot be followed."""

    log = logging.getLogger("of nobody")
    log.setLevel(logging.CRITICAL)
    failures = Repeats(log)
    try:
        refuse(HeldError)
    except ConnectionError as error:
        failures.tell("operation failed", error, code="X")
        alive = weakref.ref(error)
    gc.collect()
    assert alive() is None
