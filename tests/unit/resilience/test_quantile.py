"""Quantiles of the latencies of late: as exact as promised, forgetting by the clock, complete under threads."""

import math
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience.quantile import RELATIVE_ERROR, LatencyQuantiles, ObservedQuantile


def exact(latencies, share):
    return sorted(latencies)[max(1, math.ceil(share * len(latencies))) - 1]


def filled(latencies, at=1000.0, window=60.0):
    quantiles = LatencyQuantiles(window)
    for each in latencies:
        quantiles.record(each, at)
    return quantiles


@settings(max_examples=100, deadline=None)
@given(
    latencies=st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=400),
    share=st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999, 1.0]),
)
def test_a_quantile_is_within_its_error_of_the_exact_one(latencies, share):
    found = filled(latencies).quantile(share, 1000.0)
    assert found == pytest.approx(exact(latencies, share), rel=RELATIVE_ERROR + 1e-9)


@settings(max_examples=100, deadline=None)
@given(
    calls=st.lists(st.tuples(st.floats(0, 20), st.floats(1e-3, 10)), min_size=1, max_size=60),
    idle=st.floats(0, 30),
)
def test_it_remembers_what_is_younger_than_most_of_the_window_and_nothing_older(calls, idle):
    quantiles = LatencyQuantiles(10.0)
    now, sure, possible = 0.0, 0, 0
    ends = []
    for pause, latency in calls:
        now += pause
        ends.append(now)
        quantiles.record(latency, now)
    now += idle
    sure = sum(end > now - 10.0 * 7 / 8 for end in ends)
    possible = sum(end > now - 10.0 for end in ends)
    assert sure <= quantiles.samples(now) <= possible


def test_it_forgets_by_the_clock_with_no_call_at_all():
    quantiles = filled([0.05] * 1000)
    assert quantiles.quantile(0.95, 1051.0) == pytest.approx(0.05, rel=RELATIVE_ERROR)
    assert quantiles.quantile(0.95, 1060.0) is None
    assert quantiles.samples(1060.0) == 0


def test_an_answer_in_no_time_at_all_counts_as_one():
    assert filled([0.0, 0.0, 5.0]).quantile(0.5, 1000.0) == pytest.approx(1e-9, rel=RELATIVE_ERROR)


def test_too_few_samples_say_nothing():
    assert filled([1.0] * 19).quantile(0.95, 1000.0, min_samples=20) is None
    assert filled([1.0] * 20).quantile(0.95, 1000.0, min_samples=20) is not None


def test_days_of_calls_with_all_latencies_there_are_leave_memory_bounded():
    quantiles = LatencyQuantiles(60.0)
    for call in range(100_000):
        quantiles.record(10.0 ** (call % 1000 / 100.0 - 5.0), 2.0 * call)
    kept = sum(len(each) for each in quantiles._slices.values()) + len(quantiles._totals) + len(quantiles._fresh)
    assert kept < 2000


def test_eight_threads_lose_no_sample():
    quantiles = LatencyQuantiles(60.0)
    barrier = threading.Barrier(8)

    def record():
        barrier.wait()
        for _ in range(5000):
            quantiles.record(0.05, 1000.0)
            if _ % 500 == 0:
                quantiles.quantile(0.95, 1000.0)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=record) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    finally:
        sys.setswitchinterval(interval)
    assert quantiles.samples(1000.0) == 40_000


def test_the_observed_quantile_is_worked_out_once_in_a_hundredth_of_the_window():
    latencies = filled([0.1] * 20)
    observed = ObservedQuantile(latencies, 0.95, 20, 60.0)
    assert observed.current(1000.0) == pytest.approx(0.1, rel=RELATIVE_ERROR)
    for _ in range(1000):
        latencies.record(5.0, 1000.1)
    assert observed.current(1000.5) == pytest.approx(0.1, rel=RELATIVE_ERROR)
    assert observed.current(1000.6) == pytest.approx(5.0, rel=RELATIVE_ERROR)
