"""Orders of policies that make no sense are refused when the pipeline is built, with the reason."""

import itertools
from types import SimpleNamespace

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, OptionsError, Pipeline, Retry, Timeout
from sengol_api.resilience.order import _WHY_NOT, contradictions

KINDS = [
    "admission", "cache", "fallback", "retry", "rate_limit", "hedge", "circuit_breaker", "adaptive_limit", "bulkhead",
    "adaptive_timeout", "timeout", "chaos",
]  # fmt: skip


def refusals(*kinds):
    return list(contradictions([(kind, SimpleNamespace()) for kind in kinds]))


@pytest.mark.parametrize(("outer", "inner"), sorted(_WHY_NOT))
def test_a_pair_that_makes_no_sense_is_refused_with_its_reason(outer, inner):
    (text,) = refusals(outer, inner)
    assert text == f"{outer} outside of {inner} makes no sense: {_WHY_NOT[outer, inner]}"
    assert len(_WHY_NOT[outer, inner]) > 30


@pytest.mark.parametrize(("outer", "inner"), sorted(_WHY_NOT))
def test_a_pair_that_makes_no_sense_is_found_wherever_it_stands(outer, inner):
    assert len(refusals("timeout", outer, "rate_limit", inner)) == 1


@pytest.mark.parametrize(("outer", "inner"), sorted(_WHY_NOT))
def test_the_other_way_round_such_a_pair_makes_sense(outer, inner):
    assert refusals(inner, outer) == []


@pytest.mark.parametrize("inner", KINDS)
def test_nothing_stands_inside_of_chaos(inner):
    (text,) = refusals("chaos", inner)
    assert text.startswith(f"chaos outside of {inner} makes no sense")
    assert inner == "chaos" or refusals(inner, "chaos") == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"timeout", "fallback", "chaos"}])
def test_two_of_a_kind_are_refused(kind):
    assert refusals(kind, kind) == [f"two of {kind} make no sense: take one"]


def test_two_fallbacks_may_follow_each_other():
    assert refusals("fallback", "fallback") == []


@pytest.mark.parametrize(("outer", "inner"), [(1.0, 1.0), (1.0, 2.0)])
def test_an_inner_timeout_that_would_never_fire_is_refused(outer, inner):
    with pytest.raises(OptionsError, match=f"the inner timeout of {inner:g} s would never fire inside of one of {outer:g} s"):
        Pipeline("search", Timeout(outer), Retry(), Timeout(inner))


def test_a_timeout_around_all_attempts_and_one_around_each_make_sense():
    assert list(Pipeline("search", Timeout(10.0), Retry(), Timeout(2.0))) == ["timeout", "retry", "timeout_2"]


@pytest.mark.parametrize(
    "order",
    [
        ["cache", "retry", "circuit_breaker", "bulkhead", "timeout", "chaos"],
        ["fallback", "cache", "admission", "retry", "rate_limit", "hedge", "circuit_breaker", "adaptive_limit", "timeout"],
        ["timeout", "fallback", "retry", "hedge", "circuit_breaker", "bulkhead", "adaptive_timeout", "chaos"],
    ],
)
def test_orders_that_make_sense_are_taken_and_every_part_of_them(order):
    for length in range(len(order) + 1):
        for part in itertools.combinations(order, length):
            assert refusals(*part) == []


def test_all_that_is_wrong_with_an_order_is_told_at_once():
    with pytest.raises(OptionsError) as refused:
        Pipeline("search", CircuitBreaker(), Bulkhead(), Retry(), Retry())
    assert refused.value.subject == "Pipeline 'search'"
    assert len(refused.value.problems) == 5


def test_a_policy_that_is_shared_is_checked_like_one_that_is_built():
    other = Pipeline("other", Timeout(1.0), CircuitBreaker())
    with pytest.raises(OptionsError, match="would never fire"):
        Pipeline("search", other["timeout"], Timeout(2.0))
    with pytest.raises(OptionsError, match="put the retry outside"):
        Pipeline("search", other["circuit_breaker"], Retry())
