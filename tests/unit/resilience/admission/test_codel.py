"""What a standing line is."""

from sengol_api.resilience.admission.codel import ControlledDelay


def control():
    return ControlledDelay(target=0.1, interval=1.0)


def test_a_line_that_has_not_been_empty_for_an_interval_is_a_standing_one():
    line = control()
    line.joined(100.0)
    line.joined(100.5)
    assert not line.standing(100.99)
    assert line.standing(101.0)
    assert (line.patience(100.5), line.patience(101.0)) == (1.0, 0.1)


def test_a_line_that_empties_now_and_then_is_none_however_long_it_lasts():
    line = control()
    for tenth in range(1000):
        line.joined(100.0 + tenth)
        line.emptied(100.9 + tenth)
        assert not line.standing(100.95 + tenth)


def test_a_standing_line_that_empties_by_chance_is_still_one():
    line = control()
    line.joined(100.0)
    line.emptied(102.0)
    line.joined(102.05)
    assert line.standing(102.05)
    assert line.standing(103.0)


def test_a_standing_line_that_stays_empty_for_the_target_is_one_no_more():
    line = control()
    line.joined(100.0)
    line.emptied(102.0)
    assert line.standing(102.09)
    assert not line.standing(102.11)
    line.joined(103.0)
    assert not line.standing(103.0)
    assert line.standing(104.0)


def test_both_times_are_over_when_they_have_passed_to_the_last_bit():
    line = ControlledDelay(target=0.25, interval=1.0)
    line.joined(100.0)
    assert line.standing(101.0)
    line.emptied(102.0)
    assert not line.standing(102.25)


def test_nobody_in_line_is_no_line():
    assert not control().standing(1e9)


def test_a_standing_line_from_which_callers_are_turned_away_is_not_empty_for_want_of_them():
    line = control()
    line.joined(100.0)
    line.emptied(102.0)
    line.shed(102.09)
    assert line.standing(102.18)
    assert not line.standing(102.20)
    line.shed(102.20)
    assert not line.standing(102.21), "it is none any more, and nobody makes it one by being turned away"


def test_a_line_in_which_somebody_stands_is_as_it_was_when_others_are_turned_away():
    line = control()
    line.joined(100.0)
    line.shed(102.0)
    assert line.standing(110.0)
    other = control()
    other.joined(100.0)
    other.shed(100.5)
    assert not other.standing(100.6)
