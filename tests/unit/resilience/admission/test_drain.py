"""How fast a line moves."""

import pytest

from sengol_api.resilience.admission.drain import DrainRate


def test_nothing_is_known_before_two_places_were_handed_out():
    drain = DrainRate()
    assert drain.seconds_for(3) is None
    drain.handed_out(100.0)
    assert drain.seconds_for(3) is None


def test_the_wait_is_the_mean_gap_times_the_places():
    drain = DrainRate()
    for moment in range(100):
        drain.handed_out(100.0 + moment / 10)
    assert drain.seconds_for(5) == pytest.approx(0.5)


def test_one_long_gap_counts_for_a_tenth():
    drain = DrainRate()
    for moment in (100.0, 100.1, 101.2):
        drain.handed_out(moment)
    assert drain.seconds_for(1) == pytest.approx(0.9 * 0.1 + 0.1 * 1.1)
    drain.handed_out(101.2)
    assert drain.seconds_for(1) == pytest.approx(0.9 * 0.2)


def test_time_without_a_line_is_no_gap():
    drain = DrainRate()
    drain.handed_out(100.0)
    drain.handed_out(100.1)
    drain.emptied()
    drain.handed_out(900.0)
    assert drain.seconds_for(1) == pytest.approx(0.1)
