"""What every answer tells browsers, and how large the head of a request may be."""

import pytest

from sengol_api.api.security import LONGEST_HEAD
from sengol_api.api.services import ApiOptions
from support.wire import assert_error

DUE = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


async def answers(api):
    """One of each kind: data, a health route, errors of every origin, pages, and a preflight."""
    yield await api.get("/api/review")
    yield await api.client.get("/health")
    yield await api.client.get("/nowhere")
    yield await api.client.get("/api/review")
    yield await api.client.request("BREW", "/api/review")
    yield await api.send("POST", "/api/review", b"{broken")
    yield await api.client.get("/openapi.json")
    yield await api.client.get("/docs")
    yield await api.client.options("/api/review", headers={"Origin": "https://evil.example.com", **PREFLIGHT})
    yield await api.client.options("/api/review", headers={"Origin": "https://app.example.com", **PREFLIGHT})


PREFLIGHT = {"Access-Control-Request-Method": "GET"}


@pytest.fixture
async def browsed(make_api):
    api = await make_api(options=ApiOptions(origins=("https://app.example.com",)))
    api.headers = await api.register()
    return api


async def test_every_answer_keeps_browsers_from_framing_guessing_and_leaking(browsed):
    async for answer in answers(browsed):
        found = {name: answer.headers.get(name) for name in DUE}
        assert found == DUE, answer.url
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert len(answer.headers.get_list("content-security-policy")) == 1
        assert "strict-transport-security" not in answer.headers


async def test_a_page_of_our_own_keeps_the_policy_that_it_needs(browsed):
    assert "style-src 'unsafe-inline'" in (await browsed.client.get("/docs")).headers["content-security-policy"]
    assert "script-src" not in (await browsed.client.get("/docs")).headers["content-security-policy"]


async def test_transport_security_is_told_where_it_is_asked_for(make_api):
    api = await make_api(options=ApiOptions(hsts_seconds=31_536_000))
    answer = await api.client.get("/health")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("path", ["/health", "/api/review", "/nowhere"])
async def test_a_head_that_is_too_large_is_refused_in_the_one_shape(api, path):
    answer = await api.get(path, **{"X-Padding": "x" * 65_536})
    assert assert_error(answer, "HEADERS_TOO_LARGE") == {"limitBytes": LONGEST_HEAD}
    assert answer.headers["x-frame-options"] == "DENY"


async def test_many_small_headers_are_as_large_as_one_large(api):
    headers = {f"X-Padding-{number}": "x" * 300 for number in range(120)}
    assert_error(await api.get("/health", **headers), "HEADERS_TOO_LARGE")


async def test_a_head_up_to_the_limit_is_fine(api):
    assert (await api.get("/api/review", **{"X-Padding": "x" * (LONGEST_HEAD - 1024)})).status_code == 200
