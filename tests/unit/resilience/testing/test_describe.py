"""What a pipeline is made of, in words."""

from dataclasses import dataclass

from sengol_api.resilience import Bulkhead, CircuitBreaker, Pipeline, Retry, Timeout
from sengol_api.resilience.options import option, whole
from sengol_api.resilience.testing import describe


def test_each_policy_is_a_line_with_what_differs_from_the_defaults():
    pipeline = Pipeline("search", Retry(max_retries=1, budget=None), CircuitBreaker(), Bulkhead(max_concurrent=8), Timeout(2.0))
    assert describe(pipeline) == (
        "search\n"
        "  retry(max_retries=1, budget=None)\n"
        "    circuit_breaker()\n"
        "      bulkhead(max_concurrent=8)\n"
        "        timeout(seconds=2.0)"
    )


def test_a_pipeline_without_policies_is_a_name():
    assert describe(Pipeline("search")) == "search"


def test_what_was_changed_at_run_time_is_told():
    pipeline = Pipeline("search", Timeout(2.0))
    pipeline["timeout"].update(seconds=30.0)
    assert describe(pipeline) == "search\n  timeout()"


def test_an_option_that_must_be_given_is_always_told():
    @dataclass(frozen=True, kw_only=True)
    class Strict(Timeout):
        number: int = option(..., whole(0), "a number")

    assert describe(Pipeline("search", Strict(number=3))) == "search\n  timeout(number=3)"
