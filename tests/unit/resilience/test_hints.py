"""What servers say of the time to wait, in all its forms."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience.hints import seconds_to_wait, wait_asked_by
from support.ids import stable

WALL = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        (3, 3.0),
        (2.5, 2.5),
        (0, 0.0),
        (-5, 0.0),
        (-0.5, 0.0),
        (-math.inf, 0.0),
        (math.inf, math.inf),
        (math.nan, None),
        (10**400, math.inf),
        (-(10**400), 0.0),
        (True, None),
        (False, None),
        (None, None),
        ("3", 3.0),
        (" 2.5 ", 2.5),
        ("-5", 0.0),
        ("1e3", 1000.0),
        ("nan", None),
        ("9" * 5000, math.inf),
        ("soon", None),
        ("", None),
        ("3 s", None),
        ("0x10", None),
        (b"3", None),
        ([3], None),
        (object(), None),
        ("Fri, 15 Jan 2027 08:00:07 GMT", 7.0),
        ("Friday, 15-Jan-27 08:00:07 GMT", 7.0),
        ("Fri Jan 15 08:00:07 2027", 7.0),
        ("Fri, 15 Jan 2027 09:00:07 +0100", 7.0),
        ("Fri, 15 Jan 2027 08:00:07 -0000", 7.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 25:00:00 GMT", None),
        ("Fri, 32 Jan 2027 08:00:00 GMT", None),
        ("Fri, 15 Jan 2027 08:00:00 +9999999999", None),
        (timedelta(minutes=2), 120.0),
        (timedelta(seconds=-1), 0.0),
        (datetime(2027, 1, 15, 8, 0, 9, tzinfo=UTC), 9.0),
        (datetime(2027, 1, 15, 8, 0, 9), 9.0),  # noqa: DTZ001 - without a zone it is taken for UTC
        (datetime(2027, 1, 15, 10, 0, 9, tzinfo=timezone(timedelta(hours=2))), 9.0),
        (datetime(2020, 1, 1, tzinfo=UTC), 0.0),
    ],
    ids=stable,
)
def test_a_hint_is_seconds_from_now_or_nothing(hint, seconds):
    assert seconds_to_wait(hint, wall=WALL) == seconds


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [
        ("1500", 1.5),
        (1500, 1.5),
        (250.0, 0.25),
        ("0.5", 0.0005),
        (-1, 0.0),
        (10**400, math.inf),
        ("Fri, 15 Jan 2027 08:00:07 GMT", 7.0),
    ],
    ids=stable,
)
def test_numbers_may_be_milliseconds_and_dates_stay_dates(hint, seconds):
    assert seconds_to_wait(hint, wall=WALL, unit=0.001) == pytest.approx(seconds)


@settings(deadline=None, max_examples=100)
@given(st.one_of(st.text(), st.floats(), st.integers(), st.timedeltas(), st.datetimes(), st.binary()))
def test_no_hint_raises_or_goes_back_in_time(hint):
    seconds = seconds_to_wait(hint, wall=WALL)
    assert seconds is None or seconds >= 0


@settings(deadline=None, max_examples=100)
@given(st.text(alphabet="0123456789:.,+- JanFriGMTUC", max_size=40))
def test_no_garbled_date_raises(hint):
    seconds = seconds_to_wait(hint, wall=WALL)
    assert seconds is None or seconds >= 0


def test_an_error_without_a_retry_after_asks_for_nothing():
    assert wait_asked_by(ConnectionError(), wall=WALL) is None


def test_an_error_whose_retry_after_raises_asks_for_nothing(monkeypatch):
    class AnswerError(Exception):
        @property
        def retry_after(self):
            raise KeyError("no such header")

    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)
    assert wait_asked_by(AnswerError(), wall=WALL) is None
    assert told[0].exc_type is KeyError
