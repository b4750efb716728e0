"""``GET /metrics``: what Prometheus reads, over the application as it is served."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sengol_api.api.app import OPERATIONS
from sengol_api.review.errors import CircuitBreakerError
from support.wire import DESCRIPTION, assert_error


async def scraped(api):
    """Values by the name of the sample and its labels."""
    answer = await api.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.values())] = sample.value
    return found


async def test_requests_are_counted_by_template_and_never_by_id(api):
    review = await api.review()
    for path in (f"/api/review/{review}", "/api/review/other", "/nowhere", "/nowhere/else"):
        await api.get(path)
    await api.client.request("BREW", "/api/review")
    found = await scraped(api)
    requests = {labels: value for (name, labels), value in found.items() if name == "sengol_http_requests_total"}
    assert requests["GET", "/api/review/{id}", "2xx"] == 1
    assert requests["GET", "/api/review/{id}", "4xx"] == 1
    assert requests["GET", "(none)", "4xx"] == 2
    assert requests["other", "/api/review", "4xx"] == 1
    templates = {operation.path for operation in OPERATIONS} | {"(none)", "/metrics"}
    assert {route for _, route, _ in requests} <= templates
    assert found["sengol_http_errors_total", ("NOT_FOUND",)] == 3
    assert found["sengol_http_errors_total", ("METHOD_NOT_ALLOWED",)] == 1
    assert found["sengol_http_request_duration_seconds_count", ("GET", "/api/review/{id}")] == 2
    assert found["sengol_http_requests_in_flight", ()] == 1  # this one
    assert not [labels for _, labels in found if review in labels]


async def test_the_pipelines_of_the_services_are_shown(api):
    review = await api.review()
    for _ in range(2):
        await api.generated(review)
    found = await scraped(api)
    outcomes = {labels: value for (name, labels), value in found.items() if name == "sengol_pipeline_calls_total"}
    assert all(value == 0 for (_, outcome), value in outcomes.items() if outcome in {"error", "timeout"})
    assert found["process_resident_memory_bytes", ()] > 0
    assert found["sengol_workers", ("answered",)] == 1


async def test_an_error_is_counted_by_its_code(make_api):
    class Failing:
        async def __call__(self, request, **_):
            raise CircuitBreakerError("Not now.", retry_after=30)

    api = await make_api(generate=Failing())
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    body = {"systemDescription": DESCRIPTION}
    assert_error(await api.send("POST", path, body), "CIRCUIT_BREAKER_OPEN")
    assert (await api.send("POST", path, body, Accept="text/event-stream")).status_code == 200  # the error is an event
    found = await scraped(api)
    assert found["sengol_http_errors_total", ("CIRCUIT_BREAKER_OPEN",)] == 2
    assert found["sengol_http_requests_total", ("POST", "/api/review/{id}/generate-questions", "5xx")] == 1


async def test_a_client_that_goes_away_before_an_answer_is_counted_as_such(make_api):
    started = asyncio.Event()

    class Endless:
        async def __call__(self, request, **_):
            started.set()
            await asyncio.Event().wait()

    api = await make_api(generate=Endless())
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    headers = {"Content-Type": "application/json", **api.headers}
    call = api.exchange("POST", path, list(headers.items()), [b'{"systemDescription": "%s"}' % DESCRIPTION.encode()])
    task = asyncio.create_task(call.run())
    await started.wait()
    assert (await scraped(api))["sengol_http_requests_in_flight", ()] == 2
    call.leave()
    await asyncio.gather(task, return_exceptions=True)
    found = await scraped(api)
    assert found["sengol_http_requests_total", ("POST", "/api/review/{id}/generate-questions", "none")] == 1
    assert found["sengol_http_requests_in_flight", ()] == 1


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_it_needs_no_token_and_is_never_kept(stranger, method):
    answer = await stranger.client.request(method, "/metrics")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert bool(answer.content) is (method == "GET")
