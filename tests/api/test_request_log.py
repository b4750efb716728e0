"""The line that each request leaves, and the trace that it belongs to."""

import asyncio

import httpx2
import pytest
from starlette.types import ASGIApp

from sengol_api.api.middleware import BrokenAnswerError, Faults, RequestContext
from sengol_api.api.services import ApiOptions
from sengol_api.observability.otel import OpenTelemetryTracer
from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.tracing import start_tracing
from sengol_api.resilience import Registry, Retry, Timeout
from sengol_api.resilience.testing import Script
from sengol_api.review.errors import LLMError
from support.asgi import Exchange
from support.log_output import log_output
from support.otlp import Collector
from support.wire import DESCRIPTION

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def output():
    with log_output() as made:
        yield made


def requests(output):
    return [line for line in output.lines if line["logger"] == "sengol_api.request"]


async def test_a_request_leaves_one_line_with_how_it_ended(api, output):
    await api.get("/api/review/x", **{"X-Request-Id": "find-me", "traceparent": f"00-{TRACE}-{SPAN}-01"})
    (line,) = requests(output)
    assert line.pop("durationMs") >= 0
    for name in ("time", "pid"):
        line.pop(name)
    assert line == {
        "level": "info",
        "logger": "sengol_api.request",
        "message": "request",
        "requestId": "find-me",
        "traceId": TRACE,
        "spanId": SPAN,
        "method": "GET",
        "route": "/api/review/{id}",
        "status": 404,
        "code": "NOT_FOUND",
    }


async def test_probes_and_scrapes_leave_none(api, output):
    for path in ("/health", "/health/live", "/metrics"):
        await api.get(path)
    assert requests(output) == []


async def test_a_slow_request_is_a_warning(make_api, output):
    api = await make_api(options=ApiOptions(slow_request=1))
    async with asyncio.timeout(20):
        while not (lines := requests(output)):
            await api.client.post("/api/auth/register", json={"email": "a@example.com", "password": "a long passphrase"})
    assert (lines[0]["level"], lines[0]["message"]) == ("warning", "slow request")


async def test_at_debug_its_beginning_is_told_too(api):
    with log_output("debug") as output:
        await api.get("/health")
        assert [line["message"] for line in requests(output)] == ["request began", "request"]
        assert len({line["requestId"] for line in requests(output)}) == 1


async def test_every_line_within_a_request_bears_its_ids(make_api, output):
    class Failing:
        async def __call__(self, request, **_):
            raise RuntimeError("the work failed")

    api = await make_api(generate=Failing())
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    trace = {"traceparent": f"00-{TRACE}-{SPAN}-01", "X-Request-Id": "find-me"}
    await api.send("POST", path, {"systemDescription": DESCRIPTION}, **trace)
    told = [line for line in output.lines if line.get("requestId") == "find-me"]
    assert [line["message"] for line in told] == ["unhandled fault", "request"]
    assert told[0]["exception"].endswith("RuntimeError: the work failed")
    assert told[0]["route"] == "/api/review/{id}/generate-questions"
    assert {line["traceId"] for line in told} == {TRACE}


async def test_the_same_failure_again_is_counted_and_not_told_again_as_an_answer_or_a_stream(make_api, output):
    class Failing:
        async def __call__(self, request, **_):
            raise LLMError("The model failed.")

    api = await make_api(generate=Failing())
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    for accepted in ("application/json", "text/event-stream") * 3:
        await api.send("POST", path, {"systemDescription": DESCRIPTION}, Accept=accepted)
    (told,) = [line for line in output.lines if line["message"] == "operation failed"]
    assert "review.errors.LLMError: The model failed." in told["exception"]
    assert (told["method"], told["route"]) == ("POST", "/api/review/{id}/generate-questions")
    assert 'sengol_http_errors_total{code="LLM_ERROR"} 6' in (await api.get("/metrics")).text


@pytest.mark.parametrize(
    "header",
    [
        ("X-Request-Id", "x\nlevel=error forged"),
        ("traceparent", f"00-{TRACE}-{SPAN}-01\nforged"),
        ("traceparent", f"00-{TRACE}-\u001b[2J-01".encode()),
        ("X-Priority", "forged"),
        ("User-Agent", "forged\u001b[31m"),
    ],
)
@pytest.mark.parametrize("style", ["json", "console"])
async def test_no_header_forges_a_line(api, header, style):
    name, value = header
    raw = value if isinstance(value, bytes) else value.encode()
    with log_output(style=style) as output:
        await Exchange(api.app, "GET", "/api/review/forged\u001b", [(name.encode(), raw)]).run()
        text = output.text
    assert len(text.splitlines()) == 1
    assert "forged" not in text
    assert "\u001b" not in text


# --- an answer that breaks after it has begun


async def broken(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(f"a {'canary'}")


def around(app: ASGIApp) -> ASGIApp:
    return RequestContext(Faults(app), slow_request=5000, telemetry=Telemetry())


async def test_the_server_gets_nothing_to_log_of_an_answer_that_broke(output):
    with pytest.raises(BrokenAnswerError) as failure:
        await Exchange(around(broken), "GET", "/").run()
    assert "canary" not in "".join(map(str, (failure.value, failure.value.__cause__)))
    assert failure.value.__suppress_context__
    assert [line["message"] for line in output.lines] == ["unhandled fault", "request"]
    assert output.lines[1]["code"] == "INTERNAL_ERROR"
    assert "canary" not in output.text


async def test_headers_of_an_answer_are_joined_and_its_own_cache_rule_stays():
    async def plain(scope, receive, send):
        headers = [(b"cache-control", b"max-age=60"), (b"x-own", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    async def bare(scope, receive, send):
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    call = await Exchange(around(plain), "GET", "/", [("X-Request-Id", "find-me")]).run()
    assert call.headers == {"cache-control": "max-age=60", "x-own": "1", "x-request-id": "find-me"}
    assert (await Exchange(around(bare), "GET", "/").run()).headers["cache-control"] == "no-store"


# --- traces


class Searching:
    """The main job as one call to a dependency that fails once."""

    def __init__(self, registry: Registry) -> None:
        self._search = registry.pipeline("dvecdb", Retry(initial_delay=0.0), Timeout(5.0))

    async def __call__(self, request, **_):
        return await self._search.call(Script(ConnectionError(), LLMError("The model failed.")))


@pytest.fixture
async def traced(make_api, monkeypatch):
    """An application with traces, and the collector that gets them."""
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    tracer = start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    assert isinstance(tracer, OpenTelemetryTracer)
    registry = Registry()
    api = await make_api(telemetry=Telemetry(tracer=tracer), registry=registry, generate=Searching(registry))
    api.headers = await api.register()
    yield api, collector
    await tracer.close()
    collector.close()


async def test_a_request_and_all_that_is_done_for_it_is_one_trace(traced, output):
    api, collector = traced
    review = await api.review()
    await api.send("POST", f"/api/review/{review}/generate-questions", {"systemDescription": DESCRIPTION})
    first, second, call, request = (await asyncio.to_thread(collector.wait_for, 6))[-4:]
    assert [span.name for span in (first, second, call)] == ["dvecdb attempt", "dvecdb attempt", "dvecdb"]
    assert request.name == "POST /api/review/{id}/generate-questions"
    assert {span.trace_id for span in (first, second, call)} == {request.trace_id}
    assert [span.parent_id for span in (first, second, call)] == [call.span_id, call.span_id, request.span_id]
    assert (request.failed, request.outcome) == (True, "LLM_ERROR")
    told = [line for line in output.lines if line.get("traceId") == request.trace_id]
    assert [line["message"] for line in told] == ["attempts failed and are made again", "operation failed", "request"]
    assert [line["spanId"] for line in told] == [call.span_id, request.span_id, request.span_id]
    assert review.encode() not in b"".join(collector.raw)


async def test_requests_at_the_same_time_have_traces_of_their_own(traced):
    api, collector = traced
    client: httpx2.AsyncClient = api.client
    await asyncio.gather(*(client.get("/health") for _ in range(20)))
    spans = [span for span in collector.wait_for(21) if span.name == "GET /health"]
    assert len({span.trace_id for span in spans}) == len(spans) == 20
    assert all(span.parent_id == "" for span in spans)
