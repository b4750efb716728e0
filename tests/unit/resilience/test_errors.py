"""Errors of the toolkit: what they say, what they carry, and that they survive a copy and a process boundary."""

import copy
import errno
import pickle

import pytest

from sengol_api.resilience import (
    BulkheadFull,
    CircuitOpen,
    DeadlineExceeded,
    OptionsError,
    Overloaded,
    RateLimited,
    Rejected,
    TimedOut,
)
from sengol_api.resilience.transient import is_transient

EXAMPLES = [
    (OptionsError("Timeout", ["seconds=0 is wrong", "so is that"]), "Timeout: seconds=0 is wrong; so is that"),
    (Rejected("search", "gate"), "search: the call was refused (gate)"),
    (Rejected("search", "gate", 1.5, "was not liked"), "search: the call was not liked (gate); try again in 1.5 s"),
    (
        CircuitOpen("search", "circuit_breaker", 12.345),
        "search: the call was not made: the circuit breaker is open (circuit_breaker); try again in 12.3 s",
    ),
    (BulkheadFull("search", "bulkhead", reason="found 2 calls running"), "search: the call found 2 calls running (bulkhead)"),
    (BulkheadFull("search", "bulkhead"), "search: the call found no free place (bulkhead)"),
    (RateLimited("search", "rate_limit", 3600.0), "search: the call is over the rate limit (rate_limit); try again in 3600 s"),
    (RateLimited("search", "rate_limit", 999.7), "search: the call is over the rate limit (rate_limit); try again in 1000 s"),
    (
        Overloaded(policy="admission", retry_after=2.0, name="search"),
        "search: the call was shed under overload (admission); try again in 2 s",
    ),
    (Overloaded("search", "admission", 0.0), "search: the call was shed under overload (admission); try again in 0 s"),
    (DeadlineExceeded("search", "timeout"), "search: the call was not started: its deadline had passed (timeout)"),
    (TimedOut("search", "timeout", 0.25), "search: no answer within 0.25 s, its limit (timeout)"),
    (TimedOut("search", "timeout", 7200.0), "search: no answer within 7200 s, its limit (timeout)"),
    (
        TimedOut("search", "timeout", 1.9, by_deadline=True),
        "search: no answer within 1.9 s, the caller's deadline (timeout)",
    ),
]  # fmt: skip
IDS = [f"{type(error).__name__}-{number}" for number, (error, _) in enumerate(EXAMPLES)]
WAYS = [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]


@pytest.mark.parametrize(("error", "text"), EXAMPLES, ids=IDS)
def test_every_error_says_what_happened_and_what_to_do(error, text):
    assert str(error) == text


@pytest.mark.parametrize(("error", "text"), EXAMPLES, ids=IDS)
@pytest.mark.parametrize("way", WAYS, ids=["copy", "deepcopy", "pickle"])
def test_every_error_can_be_copied_and_sent_to_another_process(way, error, text):
    error.add_note("seen in the worker")
    try:
        twin = way(error)
    finally:
        del error.__notes__
    assert type(twin) is type(error)
    assert str(twin) == text
    assert twin.__notes__ == ["seen in the worker"]
    for attribute in ("name", "policy", "retry_after", "limit", "by_deadline", "subject", "problems", "reason"):
        assert getattr(twin, attribute, None) == getattr(error, attribute, None)


@pytest.mark.parametrize("kind", [CircuitOpen, BulkheadFull, RateLimited, Overloaded, DeadlineExceeded])
def test_everything_that_a_policy_refuses_is_rejected_and_carries_name_policy_and_wait(kind):
    error = kind("search", "policy")
    assert isinstance(error, Rejected)
    assert (error.name, error.policy, error.retry_after) == ("search", "policy", None)


def test_a_deadline_that_left_no_time_is_a_rejection_and_a_timeout():
    error = DeadlineExceeded("search", "timeout")
    assert isinstance(error, TimedOut)
    assert isinstance(error, TimeoutError)
    assert (error.limit, error.by_deadline) == (0.0, True)


def test_a_cut_is_no_rejection():
    assert not isinstance(TimedOut("search", "timeout", 1.0), Rejected)


def test_bad_options_are_a_value_error():
    assert isinstance(OptionsError("Timeout", []), ValueError)


@pytest.mark.parametrize("error", [TimedOut("search", "timeout", 1.0), DeadlineExceeded("search", "timeout")])
def test_a_timeout_of_ours_is_no_error_of_the_operating_system(error):
    assert error.errno is None
    assert error.strerror is None
    assert error.filename is None
    assert error.errno != errno.ETIMEDOUT
    assert is_transient(error) is not isinstance(error, Rejected)


def test_a_reason_belongs_to_one_error_only():
    Rejected("search", "gate", reason="was not liked")
    assert str(Rejected("search", "gate")) == "search: the call was refused (gate)"
