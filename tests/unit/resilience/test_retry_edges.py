"""Where a retry changes its mind: the values at which one more, or one less, would be another behaviour."""

from random import Random

import pytest

from sengol_api.resilience import Pipeline, Retry, deadline
from sengol_api.resilience.budget import RetryBudget
from sengol_api.resilience.history import attempts_of, given_up, mark, was_given_up_since
from sengol_api.resilience.testing import ManualClock, Script


class Highest(Random):
    def uniform(self, a, b):
        return b


def upstream(clock, **options):
    return Pipeline("upstream", Retry(**{"jitter": "none", "budget": None, **options}), clock=clock, random=Highest())


def asking(seconds):
    error = ConnectionError("busy")
    error.retry_after = seconds
    return error


def test_callers_come_back_at_most_a_tenth_later_than_the_server_named():
    clock = ManualClock()
    assert upstream(clock, jitter="full").call_sync(Script(asking(4.0), "answer").sync) == "answer"
    assert clock.slept == [pytest.approx(4.4)]


def test_a_wait_just_as_long_as_our_own_delay_adds_nothing_to_it():
    clock = ManualClock()
    assert upstream(clock, jitter="full").call_sync(Script(asking(1.0), "answer").sync) == "answer"
    assert clock.slept == [1.0]


def test_a_result_that_is_tried_again_is_paid_from_the_budget():
    work = Script("bad")
    pipeline = upstream(
        ManualClock(), retry_on_result=lambda result: result == "bad", budget=RetryBudget(ratio=0.0, per_second=0.0)
    )
    assert pipeline.call_sync(work.sync) == "bad"
    assert len(work.calls) == 1


def test_a_call_that_was_tried_once_is_said_to_have_had_1_attempt():
    clock = ManualClock()
    with deadline(0.5, clock=clock), pytest.raises(ConnectionError) as raised:
        upstream(clock).call_sync(Script(ConnectionError).sync)
    assert raised.value.__notes__ == ["upstream: gave up after 1 attempt: the next one would start after the deadline"]


def test_one_attempt_before_an_error_that_will_not_pass_is_not_lost():
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - which one it is shows below
        upstream(ManualClock()).call_sync(Script(ConnectionError, ValueError).sync)
    assert [type(each.error) for each in attempts_of(raised.value)] == [ConnectionError, ValueError]


def test_an_old_mark_does_not_count_because_another_call_has_given_up_since():
    error = ConnectionError()
    mark(error, [], 1, "upstream: gave up")
    before = given_up.last
    mark(ConnectionError(), [], 1, "another: gave up")
    assert not was_given_up_since(error, before)
