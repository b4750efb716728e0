"""The arithmetic of the rate limit, by tables and by comparison with a count of everything let through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience.rate.gcra import Gcra, Tat

# (seconds since the start, cost, allowed, remaining, retry_after, reset_after)
TEN_A_SECOND_BURST_OF_THREE = [
    (0.00, 1, True, 2.0, 0.0, 0.1),
    (0.00, 1, True, 1.0, 0.0, 0.2),
    (0.00, 1, True, 0.0, 0.0, 0.3),
    (0.00, 1, False, 0.0, 0.1, 0.3),
    (0.05, 1, False, 0.5, 0.05, 0.25),
    (0.10, 1, True, 0.0, 0.0, 0.3),
    (0.10, 2, False, 0.0, 0.2, 0.3),
    (0.30, 2, True, 0.0, 0.0, 0.3),
    (0.40, 0, True, 1.0, 0.0, 0.2),
    (0.40, 4, False, 1.0, None, 0.2),
    (9.00, 3, True, 0.0, 0.0, 0.3),
    (9.05, 0.5, True, 0.0, 0.0, 0.3),
]

# ATM Forum TM 4.0: with a burst of one, cells conform that keep at least the interval; a gap earns nothing.
ONE_A_SECOND_NO_BURST = [
    (0.0, 1, True, 0.0, 0.0, 1.0),
    (0.9, 1, False, 0.9, 0.1, 0.1),
    (1.0, 1, True, 0.0, 0.0, 1.0),
    (5.0, 1, True, 0.0, 0.0, 1.0),
    (5.5, 1, False, 0.5, 0.5, 0.5),
]


@pytest.mark.parametrize(
    ("gcra", "table"),
    [(Gcra(0.1, 3), TEN_A_SECOND_BURST_OF_THREE), (Gcra(1.0, 1), ONE_A_SECOND_NO_BURST)],
    ids=["burst", "no burst"],
)
@pytest.mark.parametrize("start", [0.0, 1000.0, 1e7], ids=str)
def test_calls_are_decided_as_the_table_says(gcra, table, start):
    tat = None
    for at, cost, allowed, remaining, retry_after, reset_after in table:
        tat, decision = gcra.take(tat, start + at, cost)
        row = f"at {at} for {cost}"
        assert decision.allowed is allowed, row
        assert decision.remaining == pytest.approx(remaining, abs=1e-5), row
        assert decision.retry_after == (None if retry_after is None else pytest.approx(retry_after, abs=1e-6)), row
        assert decision.reset_after == pytest.approx(reset_after, abs=1e-6), row


def test_a_refused_call_takes_nothing():
    tat, _ = Gcra(1.0, 1).take(None, 0.0)
    after, decision = Gcra(1.0, 1).take(tat, 0.5)
    assert not decision.allowed
    assert after is tat


# (seconds since the start, cost, wait): rate 1, burst 2, up to 3 s of wait; None is a refusal
TURNS = [(0.0, 1, 0.0), (0.0, 1, 0.0), (0.0, 1, 1.0), (0.5, 1, 1.5), (0.5, 1, 2.5), (0.5, 1, None), (1.0, 1, 3.0), (5.0, 1, 0.0)]


def test_turns_are_reserved_in_the_order_of_arrival():
    tat, gcra = None, Gcra(1.0, 2)
    for at, cost, wait in TURNS:
        tat, decision = gcra.take(tat, at, cost, max_wait=3.0)
        assert (decision.wait if decision.allowed else None) == (None if wait is None else pytest.approx(wait)), at


# cost above 0 charges, below 0 gives back; the TAT after it, None when the burst is full again
@pytest.mark.parametrize(
    ("tat", "cost", "after"),
    [
        (None, 2.0, 102.0),
        (Tat(105.0, 90.0, 1.0), 10.0, 115.0),
        (Tat(105.0, 90.0, 1.0), -3.0, 102.0),
        (Tat(105.0, 90.0, 1.0), -50.0, None),
        (Tat(105.0, 104.0, 1.0), -3.0, 104.0),
        (None, -1.0, None),
        (Tat(90.0, 90.0, 1.0), 1.0, 101.0),
    ],
    ids=[
        "charge a full one",
        "charge above the burst",
        "give back",
        "more than was taken",
        "turns are held",
        "nothing",
        "long ago",
    ],
)
def test_a_cost_is_settled_as_the_table_says(tat, cost, after):
    settled = Gcra(1.0, 10).adjust(tat, 100.0, cost)
    assert (None if settled is None else settled.at) == after


def test_a_debt_is_the_same_number_of_units_after_a_change_of_the_rate():
    tat, _ = Gcra(10.0, 5).take(None, 0.0, 5)
    _, decision = Gcra(0.1, 5).take(tat, 0.0)
    assert decision.retry_after == pytest.approx(0.1)


steps = st.tuples(st.floats(0, 3), st.sampled_from([0.5, 1.0, 2.0, 3.0]))


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from([0.01, 0.3, 1.0]), st.sampled_from([3.0, 7.5]))
def test_no_time_ever_sees_more_than_the_burst_and_the_rate_allow(arrivals, interval, burst):
    gcra, tat, now, passed = Gcra(interval, burst), None, 1000.0, []
    for gap, cost in arrivals:
        now += gap * interval
        tat, decision = gcra.take(tat, now, cost)
        if decision.allowed:
            passed.append((now, cost))
    for first in range(len(passed)):
        units = 0.0
        for at, cost in passed[first:]:
            units += cost
            assert units <= burst + (at - passed[first][0]) / interval + 0.01


waits = st.tuples(st.floats(0, 2), st.sampled_from([1.0, 2.0, 3.0]), st.booleans())


@settings(max_examples=100, deadline=None)
@given(st.lists(waits, max_size=40), st.sampled_from([3.0, 5.0]))
def test_units_that_are_given_back_never_let_the_limit_be_broken(arrivals, burst):
    gcra, tat, now, went = Gcra(1.0, burst), None, 1000.0, []
    for gap, cost, given_back in arrivals:
        now += gap
        tat, decision = gcra.take(tat, now, cost, max_wait=10.0)
        if decision.allowed and given_back:
            tat = gcra.adjust(tat, now, -cost)
        elif decision.allowed:
            went.append((now + decision.wait, cost))
    went.sort()
    for first in range(len(went)):
        units = 0.0
        for at, cost in went[first:]:
            units += cost
            assert units <= burst + (at - went[first][0]) + 0.01


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=1, max_size=40))
def test_who_comes_back_exactly_after_retry_after_is_let_in_and_not_before(arrivals):
    gcra, tat, now = Gcra(0.3, 3.0), None, 1000.0
    for gap, cost in arrivals:
        now += gap * 0.3
        tat, decision = gcra.take(tat, now, cost)
        if not decision.allowed:
            assert not gcra.take(tat, now + decision.retry_after - 0.001, cost)[1].allowed
            assert gcra.take(tat, now + decision.retry_after, cost)[1].allowed
