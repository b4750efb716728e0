"""Every option of every policy against values that make no sense: refused, with what was given and what is allowed."""

import asyncio
import dataclasses
import inspect
import math

import pytest

import sengol_api.resilience
from sengol_api.resilience import (
    AdaptiveLimit,
    AdaptiveTimeout,
    Admission,
    Bulkhead,
    Cache,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    OptionsError,
    Pipeline,
    RateLimit,
    Retry,
    Timeout,
    Vegas,
)
from sengol_api.resilience.options import Options

NEEDED = {
    "RateLimit": {"rate": 10},
    "Fallback": {"alternatives": {"last good": dict}},
    "Hedge": {"idempotent": True},
    "Occupancy": {"station": sengol_api.resilience.Station()},
}
ALL = {
    name: kind
    for name, kind in vars(sengol_api.resilience).items()
    if inspect.isclass(kind) and issubclass(kind, Options) and not inspect.isabstract(kind)
}
OPTIONS = [(name, field.name) for name, kind in sorted(ALL.items()) for field in dataclasses.fields(kind)]

ANYTHING = {("Chaos", "result")}
NAN_AND_THE_LIKE = [math.nan, math.inf, -math.inf, -1, -0.5, "1", b"1", [1.0], {}, object()]
ZERO = {
    ("AdaptiveLimit", "dropped_share"),
    ("Admission", "max_queue"),
    ("Bulkhead", "max_queue"),
    ("Cache", "early_refresh"),
    ("Cache", "stale_if_error"),
    ("Cache", "stale_while_revalidate"),
    ("Chaos", "fault_rate"),
    ("Chaos", "latency"),
    ("Chaos", "latency_rate"),
    ("Chaos", "result_rate"),
    ("Chaos", "seed"),
    ("Hedge", "budget"),
    ("Occupancy", "headroom"),
    ("RateLimit", "max_wait"),
    ("Retry", "initial_delay"),
    ("Retry", "max_retries"),
    ("Retry", "max_wait"),
    ("RetryBudget", "per_second"),
    ("RetryBudget", "ratio"),
}
"""Where zero means something: none of it."""


def build(name, option, value):
    return ALL[name](**{**NEEDED.get(name, {}), option: value})


def refusal(name, option, value):
    with pytest.raises(OptionsError) as refused:
        build(name, option, value)
    (problem,) = refused.value.problems
    assert str(refused.value) == f"{name}: {problem}"
    return problem


def test_all_policies_are_here():
    assert ALL.keys() >= {
        "AdaptiveLimit", "AdaptiveTimeout", "Admission", "Bulkhead", "Cache", "Chaos", "CircuitBreaker", "Fallback", "Hedge",
        "RateLimit", "Retry", "RetryBudget", "Timeout", "Aimd", "Gradient2", "Vegas",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "option"), [each for each in OPTIONS if each not in ANYTHING])
def test_what_is_no_sensible_number_nor_anything_else_is_refused(name, option):
    (allowed,) = [field.metadata["allowed"] for field in dataclasses.fields(ALL[name]) if field.name == option]
    for value in NAN_AND_THE_LIKE:
        assert refusal(name, option, value) == f"{option}={value!r} is not allowed, it takes {allowed.words}"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("Bulkhead", "max_concurrent"),
        ("CircuitBreaker", "failure_threshold"),
        ("CircuitBreaker", "window_calls"),
        *(("AdaptiveLimit", option) for option in ("initial", "min_limit", "max_limit")),
    ],
)
def test_more_than_anybody_could_hold_is_refused(name, option):
    for value in (1_000_001, 10**400):
        assert "it takes a whole number from 1 to 1000000" in refusal(name, option, value)


@pytest.mark.parametrize(("name", "option"), [each for each in OPTIONS if each not in ZERO | ANYTHING])
def test_zero_is_refused_where_it_would_be_no_limit(name, option):
    refusal(name, option, 0)


@pytest.mark.parametrize(("name", "option"), sorted(ZERO))
def test_zero_is_taken_where_it_means_none(name, option):
    assert getattr(build(name, option, 0), option) == 0


@pytest.mark.parametrize(("name", "option"), [each for each in OPTIONS if each not in ANYTHING])
def test_true_is_no_number(name, option):
    if isinstance(next(field.default for field in dataclasses.fields(ALL[name]) if field.name == option), bool):
        assert build(name, option, True)
    else:
        refusal(name, option, True)


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_a_coroutine_function_is_refused_where_its_answer_would_not_be_awaited(name, option):
    """What it gives is a coroutine, and that is true, whatever it would say."""
    if (name, option) not in ANYTHING:
        refusal(name, option, asyncio.sleep)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: CircuitBreaker(failure_threshold=10, window_calls=5),
            "failure_threshold=10 is above window_calls=5: it could never open; take at most 5",
        ),
        (
            lambda: CircuitBreaker(trip_on="rate", window_calls=10),
            "minimum_calls=20 is above window_calls=10: it could never open; take at most 10",
        ),
        (
            lambda: CircuitBreaker(slow_call=1.0, window_calls=10),
            "minimum_calls=20 is above window_calls=10: it could never open; take at most 10",
        ),
        (
            lambda: CircuitBreaker(trip_on="consecutive", slow_call=1.0),
            "slow_call needs a window of calls, which trip_on='consecutive' has not; take 'count' or 'rate'",
        ),
        (
            lambda: CircuitBreaker(reset_timeout=601),
            "reset_timeout=601 is above max_reset_timeout=600, it must not be",
        ),
        (lambda: Retry(initial_delay=11), "initial_delay=11 is above max_delay=10.0, it must not be"),
        (lambda: AdaptiveTimeout(min_timeout=31), "min_timeout=31 is above max_timeout=30.0, it must not be"),
        (lambda: AdaptiveTimeout(initial=31), "initial=31 is not between min_timeout=0.1 and max_timeout=30.0, it must be"),
        (lambda: AdaptiveLimit(min_limit=30, max_limit=29), "min_limit=30 is above max_limit=29, it must not be"),
        (lambda: AdaptiveLimit(initial=1001), "initial=1001 is outside of min_limit=1 to max_limit=1000"),
        (lambda: AdaptiveLimit(batch_share=0.95), "batch_share=0.95 is above interactive_share=0.9, it must not be"),
        (lambda: Vegas(alpha=7), "alpha=7 is not below beta=6, it must be"),
        (lambda: Admission(target_delay=2), "target_delay=2 is above interval=1, it must not be"),
        (lambda: Chaos(latency=(2, 1)), "latency=(2, 1) has its shortest delay above its longest: turn them round"),
        (lambda: Cache(encode=str.encode), "encode and decode belong together: give both, or none"),
        (
            lambda: RateLimit(1e12),
            "rate=1e+12 in period=1 s is one unit in 1e-12 s, it must be from 1e-09 to 1e+09 s",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(make, problem):
    with pytest.raises(OptionsError) as refused:
        make()
    assert problem in refused.value.problems


@pytest.mark.parametrize(
    ("policies", "problem"),
    [
        ((Timeout(5), Timeout(5)), "the inner timeout of 5 s would never fire inside of one of 5 s: make it shorter"),
        (
            (Timeout(5), AdaptiveTimeout(min_timeout=5)),
            "the inner adaptive timeout of 5 s would never fire inside of one of 5 s: make it shorter",
        ),
        (
            (AdaptiveTimeout(max_timeout=20), Timeout(20)),
            "the inner timeout of 20 s would never fire inside of one of 20 s: make it shorter",
        ),
        (
            (Hedge(idempotent=True, delay=5), Timeout(5)),
            "a hedge after 5 s would never start, since the timeout ends a call at 5 s: make it shorter",
        ),
        (
            (Timeout(5), Hedge(idempotent=True, delay=7)),
            "a hedge after 7 s would never start, since the timeout ends a call at 5 s: make it shorter",
        ),
        (
            (Hedge(idempotent=True, delay=9), AdaptiveTimeout(max_timeout=8)),
            "a hedge after 9 s would never start, since the adaptive timeout ends a call at 8 s: make it shorter",
        ),
    ],
)
def test_times_of_two_policies_that_leave_one_of_them_nothing_to_do_are_refused(policies, problem):
    with pytest.raises(OptionsError) as refused:
        Pipeline("search", *policies)
    assert refused.value.problems == (problem,)


@pytest.mark.parametrize(
    "policies",
    [
        (Timeout(5), Timeout(4.9)),
        (Timeout(5), AdaptiveTimeout()),
        (AdaptiveTimeout(), Timeout(20)),
        (Hedge(idempotent=True, delay=4.9), Timeout(5)),
        (Hedge(idempotent=True), Timeout(5)),
        (Hedge(idempotent=True, delay=9), Bulkhead(), AdaptiveTimeout(max_timeout=9.1)),
        (Fallback({"none": dict}), Hedge(idempotent=True, delay=9)),
    ],
)
def test_times_that_leave_each_something_to_do_are_taken(policies):
    assert len(list(Pipeline("search", *policies))) == len(policies)
