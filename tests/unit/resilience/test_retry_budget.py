"""The bound on retries as a share of the calls."""

import threading

import pytest

from sengol_api.resilience import OptionsError, Pipeline, Retry
from sengol_api.resilience.budget import Budget, RetryBudget
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.testing import ManualClock, Script
from support.threads import in_threads


def budget(clock=None, **options):
    calls = Counter()
    return Budget(RetryBudget(**options), (clock or ManualClock()).now, calls), calls


def withdrawn(bucket):
    taken = 0
    while bucket.withdraw():
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("per_second", "burst", "seconds", "allowed"),
    [(1.0, 100.0, 0.0, 10), (1.0, 5.0, 0.0, 5), (0.0, 100.0, 60.0, 0), (2.5, 100.0, 0.0, 25), (1.0, 100.0, 30.0, 40)],
)
def test_it_starts_as_after_ten_quiet_seconds_and_time_adds_to_it(per_second, burst, seconds, allowed):
    clock = ManualClock()
    bucket, _ = budget(clock, per_second=per_second, burst=burst)
    clock.advance(seconds)
    assert withdrawn(bucket) == allowed


def test_each_call_adds_its_share():
    bucket, calls = budget(ratio=0.2, per_second=0.0)
    for _ in range(100):
        calls.add()
    assert bucket.tokens == pytest.approx(20)
    assert withdrawn(bucket) == 20


def test_no_more_is_saved_up_than_the_burst():
    clock = ManualClock()
    bucket, calls = budget(clock, burst=50.0)
    for _ in range(1000):
        calls.add()
    clock.advance(86_400)
    assert withdrawn(bucket) == 50


def test_what_is_given_back_can_be_taken_again_and_does_not_exceed_the_burst():
    bucket, _ = budget(per_second=1.0, burst=10.0)
    assert withdrawn(bucket) == 10
    bucket.give_back()
    assert withdrawn(bucket) == 1
    for _ in range(30):
        bucket.give_back()
    assert bucket.tokens == 10


def test_what_calls_have_earned_is_not_changed_by_new_options():
    bucket, calls = budget(ratio=0.0, per_second=0.0)
    for _ in range(1000):
        calls.add()
    bucket.options = RetryBudget(ratio=1.0, per_second=0.0)
    assert bucket.tokens == 0
    for _ in range(3):
        calls.add()
    assert bucket.tokens == 3
    assert bucket.options.ratio == 1.0
    bucket.options = RetryBudget(ratio=0.0, per_second=0.0, burst=2.0)
    assert bucket.tokens == 2


def test_eight_threads_take_no_more_than_there_is():
    bucket, _ = budget(per_second=10.0)
    taken, together = [], threading.Barrier(8)

    def take():
        together.wait()
        taken.append(withdrawn(bucket))

    assert in_threads(*[take] * 8) == [None] * 8
    assert sum(taken) == 100


def test_an_outage_costs_a_fifth_more_calls_not_four_times_as_many():
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(budget=RetryBudget(per_second=0.0)), clock=clock)
    upstream = Script(ConnectionError)
    for _ in range(1000):
        with pytest.raises(ConnectionError):
            pipeline.call_sync(upstream.sync)
    assert len(upstream.calls) == pytest.approx(1200, abs=1)
    assert pipeline.snapshot()["retry"].retries == len(upstream.calls) - 1000
    assert pipeline.snapshot()["retry"].gave_up["budget"] >= 800


def test_a_budget_comes_and_goes_at_run_time():
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(budget=None), clock=clock)
    assert pipeline.snapshot()["retry"].budget is None
    pipeline["retry"].update(budget=RetryBudget(per_second=0.5))
    assert pipeline.snapshot()["retry"].budget == pytest.approx(5)
    pipeline["retry"].update(budget=RetryBudget(per_second=0.5, burst=2.0))
    assert pipeline.snapshot()["retry"].budget == pytest.approx(2)
    pipeline["retry"].update(budget=None)
    assert pipeline.snapshot()["retry"].budget is None
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    assert pipeline.snapshot()["retry"].retries == 3


@pytest.mark.parametrize(
    "options",
    [{"ratio": -0.1}, {"ratio": 11}, {"per_second": -1}, {"burst": 0.5}, {"ratio": float("nan")}, {"burst": float("inf")}],
)
def test_a_bad_budget_is_refused(options):
    with pytest.raises(OptionsError, match="is not allowed, it takes"):
        RetryBudget(**options)
