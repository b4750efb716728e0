"""How long a provider asks to wait."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.adapters.openai.hints import LONGEST, go_duration, wait_asked
from support.openai_waits import FORMS, NOTHING_SAID
from support.openai_waits import go_duration as as_go_prints_it

NOW = 1_800_000_000.0


def headers(**told: str) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in told.items()}


def lower(told):
    return {name.lower(): value for name, value in told.items()}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("7.66s", 7.66),
        ("20ms", 0.02),
        ("1h0m5s", 3605.0),
        ("1m30.5s", 90.5),
        ("350µs", 0.00035),
        ("1.5", 1.5),
        ("60", 60.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("-1", 0.0),
        ("-1s", 0.0),
        (" 2s ", 2.0),
        (".5s", 0.5),
    ],
)
def test_durations_of_go_and_bare_seconds_are_read(text, seconds):
    assert go_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "s", "5x", "1m foo", "nan", "inf", "--1s", "1s1", "2026-11-24"])
def test_what_is_no_duration_is_none(text):
    assert go_duration(text) is None


@given(st.floats(0.001, 100_000))
def test_every_duration_that_go_prints_is_read_back(seconds):
    assert go_duration(as_go_prints_it(seconds)) == pytest.approx(seconds, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_hint_is_understood_and_none_asks_for_less(form):
    hint = FORMS[form](1.5)
    wait = wait_asked(lower(hint.headers), f"Rate limit reached.{hint.words}", wall=NOW)
    if form == "retry-after-date":  # told on the real clock, compared with ours
        wait = wait_asked({**lower(hint.headers), "date": formatdate(usegmt=True)}, wall=NOW)
        assert 1.5 <= wait <= 3.5
    else:
        assert wait == pytest.approx(hint.seconds)


@pytest.mark.parametrize("name", NOTHING_SAID)
def test_hints_that_ask_for_nothing_ask_for_nothing(name):
    hint = NOTHING_SAID[name]
    assert wait_asked(lower(hint.headers), wall=NOW) == hint.seconds


def test_the_first_saying_that_can_be_understood_counts():
    told = headers(retry_after_ms="1500", retry_after="3", x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="9s")
    message = "Please try again in 5s."
    assert wait_asked(told, message, wall=NOW) == 1.5
    assert wait_asked({**told, "retry-after-ms": "soon"}, message, wall=NOW) == 3.0
    del told["retry-after-ms"]
    assert wait_asked({**told, "retry-after": "later"}, message, wall=NOW) == 5.0
    del told["retry-after"]
    assert wait_asked(told, "no words", wall=NOW) == 9.0


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit 3, Used 3. Please try again in 20s. Visit", 20.0),
        ("Please try again in 6m0s.", 360.0),
        ("try again in 250ms", 0.25),
        ("Try again in 2 seconds", 2.0),
        ("please try again in 1.5 minutes", 90.0),
        ("try again in 30", 30.0),
        ("try again in a while", None),
        ("try again in 5 parsecs", 5.0),
        ("x" * 3000 + " try again in 5s", None),
    ],
)
def test_the_message_may_say_it(message, seconds):
    assert wait_asked({}, message, wall=NOW) == seconds


def test_a_date_is_compared_with_the_answers_own_clock():
    """A machine whose clock was stepped an hour must not come back an hour too early."""
    told = headers(retry_after=formatdate(NOW + 30, usegmt=True), date=formatdate(NOW, usegmt=True))
    for wrong in (-3600.0, 0.0, 3600.0):
        assert wait_asked(told, wall=NOW + wrong) == 30.0
    assert wait_asked(headers(retry_after=told["retry-after"]), wall=NOW + 10) == 20.0
    assert wait_asked(headers(retry_after=told["retry-after"], date="garbage"), wall=NOW + 10) == 20.0


def test_only_the_reset_of_what_is_used_up_counts():
    told = headers(
        x_ratelimit_remaining_requests="5",
        x_ratelimit_reset_requests="6m0s",
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_tokens="200ms",
    )
    assert wait_asked(told, wall=NOW) == 0.2
    assert wait_asked({**told, "x-ratelimit-remaining-requests": "0"}, wall=NOW) == 360.0


@pytest.mark.parametrize("value", ["1e300", "999999999999", "inf"])
def test_nobody_is_believed_who_asks_for_more_than_a_day(value):
    assert wait_asked(headers(retry_after=value), wall=NOW) == LONGEST
    assert wait_asked(headers(retry_after_ms=value), wall=NOW) == LONGEST


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=200))
def test_no_hint_breaks_anything(one, other, message):
    told = {
        "retry-after": one,
        "retry-after-ms": other,
        "date": one,
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": other,
    }
    wait = wait_asked(told, message, wall=NOW)
    assert wait is None or 0 <= wait <= LONGEST
