"""Errors that a browser of another origin can read."""

from sengol_api.api.services import ApiOptions
from support.wire import DESCRIPTION, assert_error

ORIGIN = "https://app.example.com"


async def test_a_refused_preflight_has_the_one_shape_of_errors(make_api):
    api = await make_api(options=ApiOptions(origins=(ORIGIN,)))
    headers = {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "PUT"}
    assert_error(await api.client.options("/api/review", headers=headers), "VALIDATION_ERROR")


async def test_a_fault_can_be_read_by_an_allowed_origin(make_api):
    async def broken(request, **_):
        raise RuntimeError("broken")

    api = await make_api(options=ApiOptions(origins=(ORIGIN,)), generate=broken)
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    answer = await api.send("POST", path, {"systemDescription": DESCRIPTION}, Origin=ORIGIN)
    assert answer.status_code == 500
    assert answer.headers.get("access-control-allow-origin") == ORIGIN
