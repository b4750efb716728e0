"""Tokens that say who is asking."""

import base64
import datetime as dt
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.api.tokens import ISSUER, Tokens
from sengol_api.review.errors import AuthenticationError

SECRET = "the secret of these tests, long enough for HS256"
START = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


class Clock:
    now = START

    def __call__(self):
        return self.now


def tokens(secret=SECRET, clock=None):
    return Tokens(secret, seconds=3600, now=clock or Clock())


def forge(claims, key=SECRET, algorithm="HS256"):
    told = {"sub": "user-1", "iss": ISSUER, "iat": START, "exp": START + dt.timedelta(hours=1), **claims}
    return jwt.encode({k: v for k, v in told.items() if v is not None}, key, algorithm=algorithm)


def refused(header):
    with pytest.raises(AuthenticationError) as caught:
        tokens().user_id(header)
    return caught.value.message


def test_a_token_says_whose_it_is_and_when_it_ends():
    token, ends = tokens().issue("user-1")
    assert tokens().user_id(f"Bearer {token}") == "user-1"
    assert ends == START + dt.timedelta(hours=1)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_in_any_case(scheme):
    token, _ = tokens().issue("user-1")
    assert tokens().user_id(f"{scheme} {token}") == "user-1"


def test_a_token_is_good_until_the_moment_it_ends():
    clock = Clock()
    made = tokens(clock=clock)
    header = f"Bearer {made.issue('user-1')[0]}"
    clock.now = START + dt.timedelta(seconds=3599)
    assert made.user_id(header) == "user-1"
    clock.now = START + dt.timedelta(seconds=3600)
    with pytest.raises(AuthenticationError, match="expired"):
        made.user_id(header)


@pytest.mark.parametrize("header", [None, ""])
def test_without_a_token_the_answer_says_where_to_get_one(header):
    assert "POST /api/auth/login" in refused(header)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "token", "Bearer\tx"])
def test_a_header_of_another_form_is_refused(header):
    assert "does not have the form" in refused(header)


def test_a_token_of_another_key_is_refused():
    assert "not valid" in refused("Bearer " + forge({}, key="another secret that is long enough for HS256"))


def unsigned(claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def test_a_token_without_a_signature_is_refused():
    claims = {"sub": "user-1", "iss": ISSUER, "iat": START.timestamp(), "exp": START.timestamp() + 3600}
    assert "not valid" in refused("Bearer " + unsigned(claims))
    signed = tokens().issue("user-1")[0]
    assert "not valid" in refused("Bearer " + signed.rpartition(".")[0] + ".")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_of_another_algorithm_is_refused(algorithm):
    key = SECRET * 2
    with pytest.raises(AuthenticationError, match="not valid"):
        tokens(secret=key).user_id("Bearer " + forge({}, key=key, algorithm=algorithm))


@pytest.mark.parametrize(
    "claims",
    [{"sub": None}, {"exp": None}, {"iat": None}, {"iss": None}, {"iss": "another"}, {"sub": 5}, {"exp": "soon"}, {"exp": [1]}],
)
def test_a_token_without_what_it_must_say_is_refused(claims):
    assert "not valid" in refused("Bearer " + forge(claims))


def test_a_changed_token_is_refused():
    head, claims, signature = tokens().issue("user-1")[0].split(".")
    other = tokens().issue("user-2")[0].split(".")[1]
    assert "not valid" in refused(f"Bearer {head}.{other}.{signature}")
    assert "not valid" in refused(f"Bearer {head}.{claims}.{signature[::-1]}")


@given(st.text())
def test_any_header_is_refused_and_not_a_crash(text):
    for header in (text, f"Bearer {text}"):
        with pytest.raises(AuthenticationError):
            tokens().user_id(header)


def test_no_answer_tells_the_token_or_the_key():
    message = refused("Bearer " + forge({"iss": "another"}))
    assert "ey" not in message.split()
    assert SECRET not in message
