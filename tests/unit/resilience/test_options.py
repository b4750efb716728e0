"""Options are checked when they are built; what is wrong is told at once, with what was given and what is allowed."""

import asyncio
import dataclasses
import math
from dataclasses import dataclass
from functools import partial

import pytest

from sengol_api.resilience import Bulkhead, OptionsError, Pipeline, Timeout
from sengol_api.resilience.options import (
    FUNCTION,
    YES_OR_NO,
    Options,
    above,
    at_least,
    between,
    instance,
    one_of,
    option,
    whole,
)
from sengol_api.resilience.testing import Script

NO_NUMBERS = [math.nan, math.inf, -math.inf, True, False, "1", "", b"1", [1], {}, object(), 1j, 10**400, -(10**400)]


@pytest.mark.parametrize("seconds", [*NO_NUMBERS, None, 0, 0.0, -0.0, -1, -0.1])
def test_a_timeout_takes_only_seconds_above_zero(seconds):
    with pytest.raises(OptionsError) as refused:
        Timeout(seconds)
    assert str(refused.value) == f"Timeout: seconds={seconds!r} is not allowed, it takes a number above 0"


@pytest.mark.parametrize("seconds", [5e-324, 1e-9, 1, 30.0, 1e308])
def test_a_timeout_takes_any_time_above_zero(seconds):
    assert Timeout(seconds).seconds == seconds


@pytest.mark.parametrize("calls", [*NO_NUMBERS, None, 0, -1, 1.0, 1.5, 1_000_001])
def test_a_bulkhead_takes_only_whole_numbers_of_calls_that_it_can_hold(calls):
    with pytest.raises(OptionsError) as refused:
        Bulkhead(max_concurrent=calls)
    assert str(refused.value) == f"Bulkhead: max_concurrent={calls!r} is not allowed, it takes a whole number from 1 to 1000000"


@pytest.mark.parametrize("queue", [math.nan, math.inf, True, False, "1", None, -1, 1.0])
def test_a_queue_has_a_whole_number_of_places(queue):
    with pytest.raises(OptionsError, match="it takes a whole number of at least 0"):
        Bulkhead(max_queue=queue)


@pytest.mark.parametrize("seconds", [*NO_NUMBERS, 0, -1])
def test_a_queue_timeout_is_above_zero_or_none(seconds):
    with pytest.raises(OptionsError, match="it takes a number above 0, or None"):
        Bulkhead(queue_timeout=seconds)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(OptionsError) as refused:
        Bulkhead(max_concurrent=0, max_queue=-1, queue_timeout=math.inf)
    assert refused.value.subject == "Bulkhead"
    assert [problem.split("=")[0] for problem in refused.value.problems] == ["max_concurrent", "max_queue", "queue_timeout"]


@dataclass(frozen=True)
class Span(Options):
    first: int = option(..., whole(0), "where it starts")
    last: int = option(10, whole(0), "where it ends")

    def contradictions(self):
        if self.first > self.last:
            yield f"first={self.first} is above last={self.last}"


def test_options_that_are_right_one_by_one_are_checked_together():
    with pytest.raises(OptionsError, match="Span: first=3 is above last=2"):
        Span(3, 2)


def test_contradictions_are_not_asked_of_options_that_cannot_be_compared():
    with pytest.raises(OptionsError) as refused:
        Span("a", 2)
    assert len(refused.value.problems) == 1


def test_an_option_without_a_default_must_be_given():
    with pytest.raises(TypeError):
        Span()


def test_options_are_frozen_and_equal_when_they_say_the_same():
    assert Timeout(1) == Timeout(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Timeout(1).seconds = 2


def test_options_can_be_changed_into_new_ones():
    old = Span(1)
    assert old.changed(last=5) == Span(1, 5)
    assert old == Span(1)


@pytest.mark.parametrize("changes", [{"last": -1}, {"last": 0}])
def test_changed_options_are_checked_again(changes):
    with pytest.raises(OptionsError):
        Span(1).changed(**changes)


def test_an_unknown_option_is_refused_with_those_that_exist():
    with pytest.raises(OptionsError, match="there is no option end, start; there are first, last"):
        Span(1).changed(start=1, end=2)


@pytest.mark.parametrize(
    ("allowed", "words", "right", "wrong"),
    [
        (whole(2), "a whole number of at least 2", [2, 10**400], [1, 2.0, True]),
        (whole(2, 3), "a whole number from 2 to 3", [2, 3], [1, 4]),
        (between(0.5, 1), "a number from 0.5 to 1", [0.5, 1, 0.7], [0.4, 1.1, math.nan, True]),
        (at_least(0), "a number of at least 0", [0, 0.0, 1e308], [-1e-300, math.inf, 10**400]),
        (above(0), "a number above 0", [1e-300], [0]),
        (one_of("a", "b"), "one of a, b", ["a", "b"], ["c", None, ["a"], "A"]),
        (instance(int, str), "a int or str", [1, "x"], [1.0, None]),
        (instance(Exception), "an Exception", [ValueError()], [None, Exception]),
        (YES_OR_NO, "a bool", [True, False], [0, 1, "yes", None]),
        (
            FUNCTION,
            "a plain function",
            [print, lambda: 1, int],
            [1, "print", None, asyncio.sleep, partial(asyncio.sleep, 1), Script()],
        ),
        (above(0).or_none(), "a number above 0, or None", [None, 1], [0, "None"]),
    ],
)
def test_what_is_allowed_says_so_in_words_and_in_deed(allowed, words, right, wrong):
    assert allowed.words == words
    assert all(allowed.accepts(value) for value in right)
    assert not any(allowed.accepts(value) for value in wrong)


@pytest.mark.parametrize(("name", "value"), [("seconds", -1), ("nonsense", 1)])
def test_a_bad_change_at_run_time_leaves_the_old_options_in_force(name, value):
    pipeline = Pipeline("search", Timeout(3.0))
    with pytest.raises(OptionsError):
        pipeline["timeout"].update(**{name: value})
    assert pipeline["timeout"].options == Timeout(3.0)
    assert pipeline.snapshot()["timeout"].limit == 3.0
