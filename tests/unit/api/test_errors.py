"""The one shape of errors."""

import json

import pytest

from sengol_api.api.errors import STATUS, MethodNotAllowedError, respond
from sengol_api.review import errors
from sengol_api.review.errors import AppError, AuthenticationError, Problem, RateLimitError, ValidationError


def answer(error):
    response = respond(error, "request-1")
    return response, json.loads(response.body)


@pytest.mark.parametrize(
    "kind", [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, AppError) and k is not ValidationError]
)
def test_every_error_has_the_one_shape_and_its_status(kind):
    response, body = answer(kind("What happened."))
    assert response.status_code == body["statusCode"] == STATUS[kind.code][0]
    assert body == {
        "error": "What happened.",
        "code": kind.code,
        "statusCode": response.status_code,
        "metadata": {},
        "requestId": "request-1",
    }


def test_all_problems_of_a_request_are_listed():
    _, body = answer(ValidationError([Problem("a", "is missing", "missing"), Problem("b[0]", "takes text", "wrong_type")]))
    assert body["error"] == "The request has 2 problems: see metadata.errors."
    assert body["metadata"]["errors"] == [
        {"path": "a", "message": "is missing", "code": "missing"},
        {"path": "b[0]", "message": "takes text", "code": "wrong_type"},
    ]


@pytest.mark.parametrize(("seconds", "header"), [(2, "2"), (0.2, "1"), (1.01, "2"), (0, "0"), (-5, "0")])
def test_a_wait_is_told_twice_and_never_too_short(seconds, header):
    response, body = answer(RateLimitError("Too often.", retry_after=seconds))
    assert dict(response.raw_headers)[b"retry-after"] == header.encode()
    assert body["metadata"]["retryAfter"] == seconds


def test_no_wait_is_told_where_there_is_none():
    assert b"retry-after" not in dict(answer(RateLimitError("Too often."))[0].raw_headers)


def test_headers_that_belong_to_an_error_are_there():
    assert dict(answer(AuthenticationError("Who?"))[0].raw_headers)[b"www-authenticate"] == b"Bearer"
    allowed = {"allowed": ["GET", "HEAD"]}
    assert dict(answer(MethodNotAllowedError("No.", allowed))[0].raw_headers)[b"allow"] == b"GET, HEAD"


def test_an_error_does_not_change_the_facts_that_it_was_given():
    facts = {"reviewId": "r"}
    answer(AppError("x", facts, retry_after=1))
    assert facts == {"reviewId": "r"}
