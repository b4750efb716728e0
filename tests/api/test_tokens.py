"""Tokens that are missing, forged, of another kind or over: never in, always 401 with its header."""

import base64
import datetime as dt
import json

import jwt
import pytest

from support.toys import NOON
from support.wire import assert_error

SECRET = "a secret of the tests that is long enough"


def claims(user_id, **changes):
    told = {"sub": user_id, "iss": "sengol-api", "iat": NOON, "exp": NOON + dt.timedelta(hours=1), **changes}
    return {name: value for name, value in told.items() if value is not None}


def part(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(user_id, algorithm="none", signature="") -> str:
    body = {"sub": user_id, "iss": "sengol-api", "iat": int(NOON.timestamp()), "exp": int(NOON.timestamp()) + 3600}
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(body)}.{signature}"


FORGED = {
    "another key": lambda u: jwt.encode(claims(u), "another secret that is long enough too", "HS256"),
    "another algorithm of the same key": lambda u: jwt.encode(claims(u), SECRET * 2, "HS512"),
    "same key, another algorithm": lambda u: jwt.encode(claims(u), SECRET + SECRET[:32], "HS384"),
    "alg none": unsigned,
    "alg None": lambda u: unsigned(u, "None"),
    "alg NONE with a signature": lambda u: unsigned(u, "NONE", "AAAA"),
    "alg HS256 without a signature": lambda u: unsigned(u, "HS256"),
    "alg of a wrong type": lambda u: unsigned(u, ["HS256"]),
    "another issuer": lambda u: jwt.encode(claims(u, iss="another"), SECRET, "HS256"),
    "no issuer": lambda u: jwt.encode(claims(u, iss=None), SECRET, "HS256"),
    "no end": lambda u: jwt.encode(claims(u, exp=None), SECRET, "HS256"),
    "no subject": lambda u: jwt.encode(claims(u, sub=None), SECRET, "HS256"),
    "an end in words": lambda u: jwt.encode(claims(u, exp="tomorrow"), SECRET, "HS256"),
    "an end that is a list": lambda u: jwt.encode(claims(u, exp=[1]), SECRET, "HS256"),
    "an end that is not a number": lambda u: jwt.encode(claims(u, exp=float("nan")), SECRET, "HS256"),
    "a subject that is a number": lambda u: jwt.encode(claims(u, sub=5), SECRET, "HS256"),
    "not yet good": lambda u: jwt.encode(claims(u, nbf=4_000_000_000), SECRET, "HS256"),
    "over": lambda u: jwt.encode(claims(u, exp=NOON - dt.timedelta(seconds=1)), SECRET, "HS256"),
    "over this very moment": lambda u: jwt.encode(claims(u, exp=NOON), SECRET, "HS256"),
    "an unknown account": lambda _: jwt.encode(claims("nobody"), SECRET, "HS256"),
    "two parts": lambda u: unsigned(u).rpartition(".")[0],
    "not base64": lambda _: "ä.ö.ü",
    "a word": lambda _: "token",
    "very long": lambda _: "x" * 30_000,
}


@pytest.fixture
async def user_id(api) -> str:
    token = api.headers["Authorization"].removeprefix("Bearer ")
    return jwt.decode(token, options={"verify_signature": False})["sub"]


@pytest.mark.parametrize("kind", FORGED)
async def test_a_token_that_is_not_ours_opens_nothing(api, user_id, kind):
    authorization = f"Bearer {FORGED[kind](user_id)}".encode("latin-1")
    answer = await api.client.get("/api/review", headers={"Authorization": authorization})
    assert_error(answer, "AUTHENTICATION_ERROR")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_token_of_the_tests_is_ours(api, user_id):
    """Or the tests above would show nothing."""
    token = jwt.encode(claims(user_id), SECRET, "HS256")
    assert (await api.client.get("/api/review", headers={"Authorization": f"Bearer {token}"})).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "x", "Bearer\ttoken", "null", "\xff\xfe"])
async def test_a_header_of_another_form_is_no_token(stranger, header):
    answer = await stranger.client.get("/api/review", headers={"Authorization": header.encode("latin-1")})
    assert_error(answer, "AUTHENTICATION_ERROR")


async def test_a_token_ends_with_its_time(api):
    assert (await api.get("/api/review")).status_code == 200
    api.clock.now += dt.timedelta(hours=1)
    answer = await api.get("/api/review")
    assert_error(answer, "AUTHENTICATION_ERROR")
    assert "expired" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/review"),
        ("POST", "/api/review"),
        ("GET", "/api/review/x"),
        ("DELETE", "/api/review/x"),
        ("POST", "/api/review/x/generate-questions"),
        ("PUT", "/api/review/x/save-questions"),
        ("PUT", "/api/review/x/answers"),
        ("GET", "/api/review/x/score"),
        ("POST", "/api/incidents/search"),
        ("POST", "/api/incidents/search/batch"),
        ("GET", "/api/incidents/statistics"),
    ],
)
async def test_without_a_token_nothing_is_told_not_even_what_else_is_wrong(stranger, method, path):
    answer = await stranger.client.request(method, path, content=b"{not json" if method in {"POST", "PUT"} else None)
    assert assert_error(answer, "AUTHENTICATION_ERROR") == {}
