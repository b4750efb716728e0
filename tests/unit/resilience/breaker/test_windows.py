"""What a breaker remembers of the calls of late."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience.breaker.windows import FailureTimes, LastCalls, Streak, Tally, TimeBuckets


def filled(window, *calls):
    """Calls as (time, failed, slow)."""
    for now, failed, slow in calls:
        window.record(now, failed=failed, slow=slow)
    return window


OK, BAD, SLOW, BOTH = (False, False), (True, False), (False, True), (True, True)


def test_failure_times_keep_the_last_failures_within_the_time():
    window = filled(FailureTimes(10.0, 3), (0.0, *BAD), (1.0, *OK), (2.0, *BAD), (3.0, *SLOW))
    assert window.tally(3.0) == Tally(0, 2, 0)
    assert window.tally(9.999) == Tally(0, 2, 0)
    assert window.tally(10.0) == Tally(0, 1, 0)
    assert window.tally(12.0) == Tally(0, 0, 0)
    assert filled(window, *((20.0, *BAD) for _ in range(10))).tally(20.0) == Tally(0, 3, 0)


def test_a_streak_ends_with_the_first_success():
    window = filled(Streak(), (0.0, *BAD), (1.0, *BOTH), (1e9, *BAD))
    assert window.tally(1e9) == Tally(3, 3, 1)
    assert filled(window, (1e9, *SLOW)).tally(1e9) == Tally(0, 0, 0)


def test_the_last_calls_are_those_alone_however_long_ago():
    window = filled(LastCalls(3), (0.0, *BOTH), (0.0, *BAD), (0.0, *SLOW))
    assert window.tally(1e9) == Tally(3, 2, 2)
    assert filled(window, (1e9, *OK)).tally(1e9) == Tally(3, 1, 1)
    assert filled(window, (1e9, *OK), (1e9, *OK)).tally(1e9) == Tally(3, 0, 0)


def test_time_buckets_forget_by_the_clock_part_by_part():
    window = filled(TimeBuckets(20.0), (0.0, *BAD), (0.5, *SLOW), (10.0, *BOTH))
    assert window.tally(10.0) == Tally(3, 2, 2)
    assert window.tally(19.9) == Tally(3, 2, 2)
    assert window.tally(20.0) == Tally(1, 1, 1)
    assert window.tally(30.0) == Tally(0, 0, 0)


@pytest.mark.parametrize("seconds", [5e-324, 1e-300, 1e-9, 1.7e308])
@pytest.mark.parametrize("now", [0.0, -5.0, 1e12])
def test_no_length_of_a_window_breaks_a_call(seconds, now):
    window = filled(TimeBuckets(seconds), (now, *BAD))
    assert window.tally(now) == Tally(1, 1, 0)


CALLS = st.lists(st.tuples(st.floats(0, 5), st.booleans(), st.booleans()), max_size=60)


def moments(calls):
    now = 1000.0
    for gap, failed, slow in calls:
        now += gap
        yield now, failed, slow


@settings(deadline=None, max_examples=100)
@given(calls=CALLS, later=st.floats(0, 20), keep=st.integers(1, 8))
def test_failure_times_are_as_a_list_of_all_calls_has_them(calls, later, keep):
    made = list(moments(calls))
    window = filled(FailureTimes(10.0, keep), *made)
    now = (made[-1][0] if made else 1000.0) + later
    failures = sum(failed and when > now - 10.0 for when, failed, _ in made)
    assert window.tally(now).failures == min(keep, failures)


@settings(deadline=None, max_examples=100)
@given(calls=CALLS, size=st.integers(1, 10))
def test_the_last_calls_are_as_a_list_of_all_calls_has_them(calls, size):
    made = list(moments(calls))
    last = made[-size:]
    tally = Tally(len(last), sum(failed for _, failed, _ in last), sum(slow for _, _, slow in last))
    assert filled(LastCalls(size), *made).tally(0.0) == tally


@settings(deadline=None, max_examples=100)
@given(calls=CALLS, later=st.floats(0, 20))
def test_time_buckets_are_exact_to_a_twentieth_of_the_window(calls, later):
    made = list(moments(calls))
    window = filled(TimeBuckets(10.0), *made)
    now = (made[-1][0] if made else 1000.0) + later

    def within(seconds):
        return sum(when > now - seconds for when, _, _ in made)

    assert within(9.5) <= window.tally(now).calls <= within(10.0)


def test_a_window_of_time_forgets_in_twentieths():
    window = TimeBuckets(100.0)
    for now in (4.9, 5.1, 10.1):
        window.record(now, failed=True, slow=False)
    assert [window.tally(now).failures for now in (99.9, 100.5, 105.5, 110.5)] == [3, 2, 1, 0]


def test_a_window_of_time_takes_the_same_room_whatever_the_traffic():
    window = TimeBuckets(100.0)
    for call in range(100_000):
        window.record(call / 100, failed=False, slow=False)
    assert len(window._parts) == window.PARTS
    assert window.tally(999.99).calls == pytest.approx(10_000, rel=0.05)
