"""From what a provider says to our errors."""

import itertools
import json
import socket
import ssl

import httpx2
import openai
import pytest

from sengol_api.adapters.openai import errors
from sengol_api.adapters.openai.taxonomy import OVERLOADED_WAIT, from_answer, from_error_object, from_sdk
from sengol_api.resilience import is_failure, is_transient
from support.openai_sdk import REQUEST, broken, refused
from support.openai_taxonomy import PASSING, QUOTAS, REFUSED
from support.openai_waits import FORMS

NOW = 1_800_000_000.0

KINDS = {
    "insufficient_quota": errors.QuotaError,
    "insufficient_quota (type)": errors.QuotaError,
    "insufficient_quota (code)": errors.QuotaError,
    "credit_balance_exhausted": errors.QuotaError,
    "organization_spend_limit_exceeded": errors.QuotaError,
    "project_spend_limit_exceeded": errors.QuotaError,
    "organization_usage_limit_exceeded": errors.QuotaError,
    "context_length_exceeded": errors.TooLongError,
    "invalid_request_error": errors.RequestRefusedError,
    "content_filter": errors.FilteredRequestError,
    "invalid_api_key": errors.KeyRefusedError,
    "permission_denied": errors.AccessDeniedError,
    "model_not_found": errors.NoSuchModelError,
    "Not Found": errors.NoSuchModelError,
    "request_timeout": errors.ServerFailedError,
    "conflict": errors.ServerFailedError,
    "server_error": errors.ServerFailedError,
    "Bad Gateway": errors.ServerFailedError,
    "server_is_overloaded": errors.OverloadedError,
    "Gateway Time-out": errors.ServerFailedError,
    "rate_limit_exceeded": errors.RateLimitedError,
    "slow_down": errors.RateLimitedError,
}
RETRIED = {errors.ServerFailedError, errors.OverloadedError, errors.RateLimitedError}
HEALTHY = {errors.RequestRefusedError, errors.TooLongError, errors.FilteredRequestError, errors.RateLimitedError}


def of(fault):
    """Our error for a fault of the taxonomy, by way of the SDK's."""
    body = fault.body({}).replace(b"{words}", b"")
    parsed = json.loads(body)["error"] if fault.content_type == "application/json" else body.decode()
    response = httpx2.Response(fault.status, content=body, request=REQUEST)
    return from_sdk(openai.APIStatusError("words", response=response, body=parsed), "primary", wall=NOW)


@pytest.mark.parametrize("fault", [*QUOTAS, *REFUSED, *PASSING], ids=lambda fault: fault.name)
def test_every_fault_has_its_error_and_every_error_its_rules(fault):
    error = of(fault)
    kind = KINDS[fault.name]
    assert type(error) is kind
    assert is_transient(error) is (kind in RETRIED)
    assert is_failure(error) is (kind not in HEALTHY)
    assert (error.status, error.provider, error.code) == (fault.status, "primary", "LLM_ERROR")
    assert error.metadata["reason"] == kind.reason


def test_all_faults_of_the_taxonomy_are_in_the_table():
    assert KINDS.keys() == {fault.name for fault in [*QUOTAS, *REFUSED, *PASSING]}


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (402, {}, errors.QuotaError),
        (400, {"code": "billing_hard_limit_reached"}, errors.QuotaError),
        (413, "<html>", errors.TooLongError),
        (400, {"type": "max_tokens_per_request"}, errors.TooLongError),
        (422, {}, errors.RequestRefusedError),
        (418, None, errors.RequestRefusedError),
        (501, {}, errors.ServerFailedError),
        (529, {}, errors.OverloadedError),
        (500, {"code": 503, "type": "unavailable_error"}, errors.ServerFailedError),
        (302, "", errors.NoSuchModelError),
        (429, ["odd"], errors.RateLimitedError),
        (429, {"type": 5, "code": ["x"], "message": {"y": 1}}, errors.RateLimitedError),
    ],
)
def test_the_rest_of_the_table(status, error, kind):
    assert type(from_answer(status, error, {}, "primary", wall=NOW)) is kind


@pytest.mark.parametrize("form", [name for name in FORMS if name != "retry-after-date"])
def test_a_wait_that_is_told_is_carried_by_errors_that_pass_and_only_by_those(form):
    hint = FORMS[form](2.5)
    for status, code, waits in (
        (429, "slow_down", True),
        (503, None, True),
        (429, "insufficient_quota", False),
        (401, None, False),
    ):
        error = from_sdk(refused(status, hint.headers, code=code, message=f"No.{hint.words}"), "primary", wall=NOW)
        assert error.retry_after == (pytest.approx(hint.seconds) if waits else None)


def test_an_overloaded_provider_is_left_alone_for_longer_when_it_does_not_say():
    assert from_answer(503, {}, {}, "primary", wall=NOW).retry_after == OVERLOADED_WAIT
    assert from_answer(503, {}, {"retry-after": "1"}, "primary", wall=NOW).retry_after == 1.0
    assert from_answer(500, {}, {}, "primary", wall=NOW).retry_after is None


def test_the_limits_of_a_refusal_and_the_providers_id_go_on_and_nothing_else():
    told = {"X-Ratelimit-Remaining-Tokens": "0", "x-request-id": "req_123", "set-cookie": "secret"}
    error = from_sdk(refused(429, told), "primary", wall=NOW)
    assert {name.lower(): value for name, value in error.limits.items()} == {"x-ratelimit-remaining-tokens": "0"}
    assert error.metadata == {"reason": "rate_limited", "provider": "primary", "status": 429, "providerRequestId": "req_123"}
    odd = from_sdk(refused(429, {"x-request-id": "<script>"}), "primary", wall=NOW)
    assert odd.request_id is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"type": "server_error", "message": "x"}, errors.ServerFailedError),
        ({"type": "insufficient_quota"}, errors.QuotaError),
        ({"code": "rate_limit_exceeded", "message": "try again in 3s"}, errors.RateLimitedError),
        ("upstream failed", errors.ServerFailedError),
        (None, errors.ServerFailedError),
    ],
)
def test_an_error_in_an_answer_or_a_stream_is_told_by_its_words(body, kind):
    error = from_error_object(body, "primary")
    assert type(error) is kind
    assert error.retry_after == (3.0 if kind is errors.RateLimitedError else None)
    in_stream = from_sdk(openai.APIError("words", request=REQUEST, body=body), "primary", wall=NOW)
    assert type(in_stream) is kind


def chained(*links):
    for effect, cause in itertools.pairwise(links):
        effect.__cause__ = cause
    return links[0]


@pytest.mark.parametrize(
    ("cause", "text", "retried", "sent"),
    [
        (chained(httpx2.ConnectError("x"), socket.gaierror(socket.EAI_NONAME, "x")), "no host of that name", False, False),
        (chained(httpx2.ConnectError("x"), socket.gaierror(socket.EAI_AGAIN, "x")), "no answer for now", True, False),
        (chained(httpx2.ConnectError("x"), ssl.SSLCertVerificationError("x")), "certificate", False, False),
        (chained(httpx2.ConnectError("x"), OSError("all"), ConnectionRefusedError()), "refuses connections", True, False),
        (httpx2.ConnectTimeout("x"), "no connection come about", True, False),
        (httpx2.UnsupportedProtocol("x"), "address or proxy", False, False),
        (httpx2.ReadError("x"), "broke before the answer", True, True),
        (httpx2.RemoteProtocolError("x"), "broke before the answer", True, True),
        (None, "broke before the answer", True, True),
    ],
)
def test_a_connection_says_what_to_check(cause, text, retried, sent):
    error = from_sdk(broken(cause), "primary", wall=NOW)
    assert type(error) is errors.UnreachableError
    assert text in str(error)
    assert (is_transient(error), error.sent, is_failure(error)) == (retried, sent, True)


def test_several_refused_addresses_are_one_refusal():
    group = ExceptionGroup("all", [ConnectionRefusedError(), ConnectionRefusedError()])
    error = from_sdk(broken(chained(httpx2.ConnectError("x"), group)), "primary", wall=NOW)
    assert "refuses connections" in str(error)


def test_a_chain_of_causes_that_bites_its_tail_ends():
    one, other = OSError("a"), OSError("b")
    one.__cause__, other.__cause__ = other, one
    assert type(from_sdk(broken(one), "primary", wall=NOW)) is errors.UnreachableError


def test_a_timeout_of_a_client_of_ones_own_and_odd_errors_of_the_sdk():
    silent = openai.APITimeoutError(request=REQUEST)
    silent.__cause__ = httpx2.ReadTimeout("x")
    assert type(from_sdk(silent, "primary", wall=NOW)) is errors.LateAnswerError
    assert type(from_sdk(json.JSONDecodeError("x", "doc", 0), "primary", wall=NOW)) is errors.BadAnswerError
    assert type(from_sdk(openai.OpenAIError("no credentials"), "primary", wall=NOW)) is errors.KeyRefusedError


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 429, 500, 503])
def test_no_word_of_the_vendor_and_no_request_goes_on(status):
    theirs = refused(status, {"x-request-id": "req_1"}, message="CANARY of the vendor", code="CANARY", type="CANARY")
    ours = from_sdk(theirs, "primary", wall=NOW)
    assert "CANARY" not in f"{ours} {ours!r} {ours.metadata} {vars(ours)}"
    assert ours.__cause__ is None
    assert ours.__context__ is None
