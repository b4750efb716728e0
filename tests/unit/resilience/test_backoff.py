"""Delays between attempts, against values worked out by hand."""

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience.backoff import exponential, jittered

LARGEST = 1.7976931348623157e308


class Fixed(Random):
    """Chance that always falls on the same share of a range."""

    def __init__(self, share):
        super().__init__(0)
        self.share = share

    def uniform(self, a, b):
        return a + (b - a) * self.share


@pytest.mark.parametrize(
    ("retry", "initial", "multiplier", "longest", "delay"),
    [
        (1, 1.0, 2.0, 10.0, 1.0),
        (2, 1.0, 2.0, 10.0, 2.0),
        (3, 1.0, 2.0, 10.0, 4.0),
        (4, 1.0, 2.0, 10.0, 8.0),
        (5, 1.0, 2.0, 10.0, 10.0),
        (1, 10.0, 2.0, 10.0, 10.0),
        (3, 0.1, 3.0, 60.0, 0.9),
        (7, 2.5, 1.0, 60.0, 2.5),
        (1, 0.0, 2.0, 10.0, 0.0),
        (1024, 0.0, 2.0, 10.0, 0.0),
        (1024, 1.0, 2.0, 10.0, 10.0),
        (1025, 1.0, 2.0, LARGEST, LARGEST),
        (10**18, 1.0, 1.0000001, 10.0, 10.0),
        (3, 1.0, LARGEST, 10.0, 10.0),
        (1101, 1e-320, 2.0, 10.0, 10.0),
        (1029, 1e-300, 2.0, 1e10, 2.0**1000 * 1e-300 * 2.0**28),
    ],
)
def test_delays_grow_by_the_multiplier_up_to_the_longest(retry, initial, multiplier, longest, delay):
    assert exponential(retry, initial, multiplier, longest) == pytest.approx(delay)


@settings(deadline=None, max_examples=100)
@given(
    retry=st.integers(1, 10**9),
    initial=st.floats(0, 1e9),
    multiplier=st.floats(1, LARGEST),
    longest=st.floats(1e9, LARGEST),
)
def test_no_number_of_attempts_overflows(retry, initial, multiplier, longest):
    delay = exponential(retry, initial, multiplier, longest)
    assert math.isfinite(delay)
    assert 0 <= delay <= longest
    assert delay >= min(initial, longest) * (1 - 1e-9)


@pytest.mark.parametrize(
    ("kind", "previous", "lowest", "middle", "highest"),
    [
        ("none", 1.0, 8.0, 8.0, 8.0),
        ("full", 1.0, 0.0, 4.0, 8.0),
        ("equal", 1.0, 4.0, 6.0, 8.0),
        ("proportional", 1.0, 6.0, 8.0, 10.0),
        ("decorrelated", 2.0, 1.0, 3.5, 6.0),
        ("decorrelated", 9.0, 1.0, 10.0, 10.0),
        ("decorrelated", 0.1, 1.0, 1.0, 1.0),
    ],
)
def test_jitter_spreads_a_delay_of_8_seconds(kind, previous, lowest, middle, highest):
    spread = [jittered(kind, 8.0, previous, 1.0, 10.0, Fixed(share)) for share in (0.0, 0.5, 1.0)]
    assert spread == pytest.approx([lowest, middle, highest])


@settings(deadline=None, max_examples=100)
@given(
    kind=st.sampled_from(["none", "full", "equal", "proportional", "decorrelated"]),
    delay=st.floats(0, 10.0),
    previous=st.floats(0, 1e9),
    seed=st.integers(),
)
def test_no_jitter_goes_below_zero_or_above_the_longest(kind, delay, previous, seed):
    assert 0 <= jittered(kind, delay, previous, 1.0, 10.0, Random(seed)) <= 10.0


def test_a_proportional_delay_stays_below_the_longest():
    assert jittered("proportional", 10.0, 1.0, 1.0, 10.0, Fixed(1.0)) == 10.0
