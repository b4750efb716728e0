"""What is left of a provider's limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.openai.allowance import Allowance, Told, told_by


def headers(limit="60", remaining="59", reset="1s"):
    return {"x-ratelimit-limit-requests": limit, "x-ratelimit-remaining-requests": remaining, "x-ratelimit-reset-requests": reset}


def test_the_headers_of_a_limit_are_read():
    assert told_by(headers(), "requests") == Told(60, 59, 1)
    assert told_by(headers("200000", "0", "6m0s"), "requests") == Told(200_000, 0, 300)
    assert told_by(headers(), "tokens") is None


@pytest.mark.parametrize(
    "told",
    [headers("-1", "-1", "0"), headers("0", "0"), headers("60", "61"), headers("many"), headers(reset="soon"), headers("nan"), {}],
)
def test_headers_that_make_no_sense_tell_nothing(told):
    assert told_by(told, "requests") is None


def test_nothing_is_held_back_while_nothing_is_known():
    allowance = Allowance()
    assert allowance.left(0.0) is None
    assert [allowance.take(1e9, 0.0) for _ in range(3)] == [0.0] * 3


def test_what_is_left_goes_at_once_and_the_rest_as_it_comes_back():
    allowance = Allowance()
    allowance.learn(Told(60, 2, 58.0), 0.0, now=100.0)  # one comes back each second
    waits = [allowance.take(1, 100.0) for _ in range(5)]
    assert waits == pytest.approx([0.0, 0.0, 1.0, 2.0, 3.0])


def test_it_fills_up_again_and_not_above_its_limit():
    allowance = Allowance()
    allowance.learn(Told(10, 0, 10.0), 0.0, now=0.0)
    assert allowance.left(4.0) == pytest.approx(4.0)
    assert allowance.left(200.0) == pytest.approx(10.0)


def test_nobody_waits_for_longer_than_the_reset_while_it_can_serve_all():
    allowance = Allowance()
    allowance.learn(Told(100, 99, 59.0), 0.0, now=0.0)  # a window that comes back all at once: the rate looks slow
    assert [allowance.take(1, 0.0) for _ in range(99)] == [0.0] * 99
    assert all(wait <= 59.0 for wait in (allowance.take(1, 0.0) for _ in range(50)))


def test_a_call_larger_than_the_whole_limit_gets_its_turn():
    allowance = Allowance()
    allowance.learn(Told(1000, 1000, 0.0), 0.0, now=0.0)
    assert allowance.take(5000, 0.0) == 0.0
    assert 0 < allowance.take(5000, 0.0) <= 60.0


def test_what_was_told_is_forgotten_in_time():
    allowance = Allowance()
    allowance.learn(Told(10, 0, 300.0), 0.0, now=0.0)
    assert allowance.take(10, 1.0) > 0
    assert allowance.take(10, 301.0) == 0.0
    assert allowance.left(301.0) is None


def test_units_that_were_not_used_come_back():
    allowance = Allowance()
    allowance.learn(Told(10, 3, 7.0), 0.0, now=0.0)
    allowance.take(3, 0.0)
    assert allowance.left(0.0) == 0.0
    allowance.give_back(2, 0.0)
    assert allowance.left(0.0) == 2.0
    allowance.give_back(1e9, 0.0)
    assert allowance.left(0.0) == 10.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["learn", "take", "back", "wait"]),
            st.floats(0, 1e4),
            st.floats(0, 1),
            st.floats(0, 400),
            st.floats(0, 500),
        ),
        max_size=40,
    )
)
def test_every_wait_is_finite_and_none_is_negative(steps):
    allowance, now = Allowance(), 0.0
    for what, units, share, reset, passed in steps:
        if what == "learn":
            allowance.learn(Told(max(1.0, units), max(1.0, units) * share, min(reset, 300.0)), 0.0, now)
        elif what == "take":
            assert 0.0 <= allowance.take(units, now) < float("inf")
        elif what == "back":
            allowance.give_back(units, now)
        now += passed
        left = allowance.left(now)
        assert left is None or left >= 0
