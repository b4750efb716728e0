"""Tokens that say who is asking."""

import base64
import datetime as dt
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sengol_api.api.tokens import ISSUER, Tokens, key_id
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


# --- keys and their rotation

NEXT = "the secret that comes after this one, long enough too"


def header_of(token):
    return jwt.get_unverified_header(token)


def keyed(secret=SECRET, *others):
    return Tokens(secret, seconds=3600, now=Clock(), others=others)


def test_a_token_names_its_key_without_telling_it():
    token, _ = tokens().issue("user-1")
    kid = header_of(token)["kid"]
    assert kid == key_id(SECRET) != key_id(NEXT)
    assert len(kid) == 16
    assert SECRET not in token


def test_through_a_whole_rotation_no_token_is_lost_on_any_replica():
    """First all replicas learn to check the next key, then they sign by it, then they forget the one before."""
    before, learning, turned, after = keyed(), keyed(SECRET, NEXT), keyed(NEXT, SECRET), keyed(NEXT)
    for first, second in ((before, learning), (learning, turned)):
        for issuing in (first, second):
            token = issuing.issue("user-1")[0]
            for checking in (first, second):
                assert checking.user_id(f"Bearer {token}") == "user-1"
    assert after.user_id(f"Bearer {turned.issue('user-1')[0]}") == "user-1"
    with pytest.raises(AuthenticationError):
        after.user_id(f"Bearer {before.issue('user-1')[0]}")


def test_a_token_from_before_keys_had_names_is_good_under_any_of_them():
    unnamed = forge({})
    assert "kid" not in header_of(unnamed)
    for checking in (keyed(), keyed(NEXT, SECRET)):
        assert checking.user_id(f"Bearer {unnamed}") == "user-1"
    with pytest.raises(AuthenticationError):
        keyed(NEXT).user_id(f"Bearer {unnamed}")


@pytest.mark.parametrize("kid", [key_id(NEXT), "", "x", "../../etc/passwd", "' OR 1=1 --"])
def test_a_token_is_checked_by_the_key_that_it_names_and_by_no_other(kid):
    claims = {"sub": "user-1", "iss": ISSUER, "iat": START, "exp": START + dt.timedelta(hours=1)}
    token = jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": kid})
    with pytest.raises(AuthenticationError, match="not valid"):
        keyed(SECRET, NEXT).user_id(f"Bearer {token}")


@pytest.mark.parametrize("kid", [None, 5, ["x"], {"x": 1}])
def test_a_name_of_a_key_that_is_no_text_is_no_crash(kid):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    token = f"{part({'alg': 'HS256', 'kid': kid})}.{part({'sub': 'user-1'})}.AAAA"
    assert "not valid" in refused(f"Bearer {token}")


def test_what_only_checks_signs_nothing():
    token, _ = keyed(SECRET, NEXT).issue("user-1")
    assert header_of(token)["kid"] == key_id(SECRET)


def test_a_signature_is_checked_once_and_the_end_of_a_token_each_time(monkeypatch):
    clock = Clock()
    issuer = tokens(clock=clock)
    header = f"Bearer {issuer.issue('user-1')[0]}"
    assert issuer.user_id(header) == "user-1"
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("checked again"))
    assert issuer.user_id(header) == "user-1"
    clock.now += dt.timedelta(hours=1, seconds=1)
    with pytest.raises(AuthenticationError, match="expired"):
        issuer.user_id(header)
