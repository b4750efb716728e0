"""What holds for every route: methods, ids of requests, deadlines, browsers, faults."""

import asyncio
import datetime as dt
import json
import logging
import re

import httpx2
import pytest
from starlette.types import ASGIApp

from sengol_api.api.app import OPERATIONS
from sengol_api.api.services import ApiOptions
from sengol_api.review.errors import CircuitBreakerError, DatabaseError, LLMError, VectorDBError
from support.asgi import Exchange
from support.wire import DESCRIPTION, assert_error, problems


async def test_the_health_routes_answer_bare_objects_without_a_token(stranger):
    stranger.clock.now += dt.timedelta(seconds=90)
    health = (await stranger.client.get("/health")).json()
    assert (health["status"], health["uptime"], health["timestamp"]) == ("ok", 90.0, "2026-11-24T12:01:30.000Z")
    assert (await stranger.client.get("/health/live")).json() == {"status": "ok"}


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/", "/api/review/", "/health/", "/docs/", "//api/review", "/api/review/x/y", "/%00", "/%ff", "/..%2f"],
)
async def test_an_unknown_route_is_not_found_in_the_one_shape(api, path):
    answer = await api.get(path)
    assert_error(answer, "NOT_FOUND")


@pytest.mark.parametrize("path", sorted({operation.path for operation in OPERATIONS} | {"/docs", "/openapi.json", "/metrics"}))
async def test_a_wrong_method_is_told_with_those_there_are(api, path):
    own = {operation.method for operation in OPERATIONS if operation.path == path} or {"GET"}
    own |= {"HEAD"} if "GET" in own else set()
    for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"} - own:
        answer = await api.client.request(method, path.replace("{id}", "x"))
        if method == "HEAD":
            assert answer.status_code == 405
        else:
            assert set(assert_error(answer, "METHOD_NOT_ALLOWED")["allowed"]) == own
        assert set(answer.headers["allow"].split(", ")) == own


async def test_head_answers_like_get_without_a_body(api):
    for path in ("/health", "/api/review", "/docs", "/openapi.json"):
        head, get = await api.client.request("HEAD", path, headers=api.headers), await api.get(path)
        assert (head.status_code, head.headers["content-type"], head.content) == (200, get.headers["content-type"], b"")


async def test_every_answer_has_its_id_and_keeps_browsers_from_guessing(api):
    for answer in (await api.get("/health"), await api.get("/api/review"), await api.get("/nowhere"), await api.get("/docs")):
        assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("wish", ["abc-123", "A.b_C-9", "x" * 64])
async def test_an_id_that_the_client_gives_is_taken_over(api, wish):
    answer = await api.get("/nowhere", **{"X-Request-Id": wish})
    assert answer.headers["x-request-id"] == answer.json()["requestId"] == wish


@pytest.mark.parametrize(
    "wish", [b"", b"x" * 65, b"a b", b"a\nlevel=error forged", b"a\r\nX-Evil: 1", b"<script>", b'"}', b"\x00", b"\xff", b"a\n"]
)
async def test_an_id_that_could_forge_a_log_line_or_a_header_is_replaced(api, caplog, wish):
    with caplog.at_level(logging.DEBUG):
        call = await Exchange(api.app, "GET", "/nowhere", [(b"X-Request-Id", wish)]).run()
    given = call.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", given)
    assert json.loads(call.content)["requestId"] == given
    assert "forged" not in caplog.text


# --- deadlines


class Slow:
    """The main job that never ends by itself."""

    def __init__(self) -> None:
        self.cancelled = False

    async def __call__(self, request, **_):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def ask(api, **headers):
    review = await api.review()
    body = {"systemDescription": DESCRIPTION}
    return await api.send("POST", f"/api/review/{review}/generate-questions", body, **headers)


async def test_a_request_that_takes_too_long_is_told_so_and_its_work_ends(make_api):
    api = await make_api(generate=(work := Slow()))
    api.headers = await api.register()
    answer = await ask(api, **{"X-Request-Timeout-Ms": "200"})
    assert assert_error(answer, "TIMEOUT_ERROR") == {"deadlineMs": 200}
    assert work.cancelled


async def test_the_servers_limit_holds_without_a_wish_and_against_a_longer_one(make_api):
    api = await make_api(generate=Slow(), options=ApiOptions(request_timeout=400))
    api.headers = await api.register()
    for headers in ({}, {"X-Request-Timeout-Ms": "999999999999"}):
        assert assert_error(await ask(api, **headers), "TIMEOUT_ERROR") == {"deadlineMs": 400}


@pytest.mark.parametrize(("wish", "granted"), [("60000", 60_000), ("120000", 120_000), ("120001", 120_000), ("0005000", 5000)])
async def test_a_wish_is_granted_up_to_the_servers_limit(api, wish, granted):
    assert (await ask(api, **{"X-Request-Timeout-Ms": wish})).json()["data"]["generationMetadata"]["deadlineMs"] == granted


@pytest.mark.parametrize("wish", ["", "0", "-5", "1.5", "1e3", "10s", "\xb2", "\xd9\xa3", "9" * 13, "NaN", "1, 2", "0x10"])
async def test_a_wish_that_is_no_number_of_milliseconds_is_told(api, wish):
    answer = await api.get("/api/review", **{"X-Request-Timeout-Ms": wish.encode("latin-1")})
    assert problems(answer) == {"X-Request-Timeout-Ms": "out_of_range"}


async def test_health_knows_no_deadline(api):
    assert (await api.get("/health", **{"X-Request-Timeout-Ms": "nonsense"})).status_code == 200


async def test_requests_that_ran_out_of_time_leave_the_store_usable(api):
    """A connection that was cut off in the middle of its transaction would hold the database's lock."""
    review, questions = await api.saved()
    key = questions["riskQuestions"][0]["id"]
    for milliseconds in range(1, 9):
        wish = {"X-Request-Timeout-Ms": str(milliseconds)}
        await asyncio.gather(
            *(api.send("PUT", f"/api/review/{review}/answers", {key: "addressed"}, **wish) for _ in range(6)),
            *(api.get(f"/api/review/{review}", **wish) for _ in range(6)),
        )
    answer = await api.send("PUT", f"/api/review/{review}/answers", {key: "not_addressed"})
    assert answer.json()["data"]["answers"] == {key: "not_addressed"}


# --- browsers


@pytest.fixture
async def browsed(make_api):
    api = await make_api(options=ApiOptions(origins=("https://app.example.com",)))
    api.headers = await api.register()
    return api


def preflight(origin="https://app.example.com", method="PUT", headers="authorization,content-type,if-match"):
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}


async def test_an_allowed_origin_may_call_with_the_headers_that_clients_need(browsed):
    answer = await browsed.client.options("/api/review/x/answers", headers=preflight())
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "PUT" in answer.headers["access-control-allow-methods"]
    answer = await browsed.get("/api/review", Origin="https://app.example.com")
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]


async def test_an_error_can_be_read_by_an_allowed_origin(browsed):
    answer = await browsed.get("/api/review/x", Origin="https://app.example.com")
    assert_error(answer, "NOT_FOUND")
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "https://app.example.com.evil.com", "http://app.example.com", "null"]
)
async def test_another_origin_may_not(browsed, origin):
    for answer in (
        await browsed.client.options("/api/review", headers=preflight(origin)),
        await browsed.get("/api/review", Origin=origin),
    ):
        assert "access-control-allow-origin" not in answer.headers


async def test_without_origins_no_browser_may_call_from_elsewhere(api):
    answer = await api.get("/api/review", Origin="https://app.example.com")
    assert "access-control-allow-origin" not in answer.headers


# --- faults


def client_of(app: ASGIApp) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


class Broken:
    """A store that fails whatever it is asked."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name):
        async def fail(*_, **__):
            raise self._error

        return fail


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("canary"),
        KeyError("canary"),
        RecursionError("canary"),
        AssertionError("canary"),
        TimeoutError("canary"),
        OSError("canary"),
    ],
)
async def test_a_fault_has_the_one_shape_leaks_nothing_and_stands_in_the_log(make_api, caplog, fault):
    api = await make_api()
    api.headers = await api.register()
    broken = await make_api(reviews=Broken(fault))
    answer = await broken.client.get("/api/review", headers={**api.headers, "X-Request-Id": "find-me"})
    assert assert_error(answer, "INTERNAL_ERROR") == {}
    assert "canary" not in answer.text
    assert "find-me" in answer.json()["error"] or answer.json()["requestId"] == "find-me"
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.exc_info[1] for record in faults] == [fault]


@pytest.mark.parametrize(("error", "status"), [
    (DatabaseError("The store failed.", {"cause": "X"}), 500), (VectorDBError("No index.", retry_after=1.2), 503),
    (LLMError("No model.", retry_after=0), 503), (CircuitBreakerError("Not now.", retry_after=30), 503),
])  # fmt: skip
async def test_a_failed_dependency_is_told_with_the_wait_as_header_and_metadata(make_api, error, status):
    api = await make_api()
    api.headers = await api.register()
    broken = await make_api(reviews=Broken(error))
    answer = await broken.client.get("/api/review", headers=api.headers)
    metadata = assert_error(answer, error.code)
    assert answer.status_code == status
    if error.retry_after is None:
        assert "retry-after" not in answer.headers
    else:
        assert metadata["retryAfter"] == error.retry_after
        assert int(answer.headers["retry-after"]) == {1.2: 2, 0: 0, 30: 30}[error.retry_after]


async def test_one_request_that_fails_disturbs_no_other(make_api):
    api = await make_api()
    api.headers = await api.register()
    bad = [api.send("POST", "/api/review", b"{broken") for _ in range(10)]
    good = [api.send("POST", "/api/review", {"name": f"Review {n}"}) for n in range(10)]
    answers = await asyncio.gather(*(request for pair in zip(bad, good, strict=True) for request in pair))
    assert [answer.status_code for answer in answers] == [400, 201] * 10
    assert [answer.json()["data"]["name"] for answer in answers[1::2]] == [f"Review {n}" for n in range(10)]
