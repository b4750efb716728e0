"""Traces, as a real collector gets them: which spans there are, under which, with what on them and what not."""

import asyncio
import logging
import subprocess
import sys
import time

import pytest

from sengol_api.adapters.openai import OpenAIClient, OpenAIOptions
from sengol_api.observability import tracing
from sengol_api.observability.events import observe
from sengol_api.observability.otel import OpenTelemetryTracer
from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.trace_context import annotate, current, inject, read
from sengol_api.observability.tracing import start_tracing, wanted
from sengol_api.resilience import (
    Cache,
    Chaos,
    CircuitBreaker,
    CircuitOpen,
    Fallback,
    Hedge,
    Registry,
    Retry,
    TimedOut,
    Timeout,
)
from sengol_api.resilience.testing import Script, after, hang
from support.openai_faults import openai_faults
from support.openai_taxonomy import CHAT
from support.otlp import Collector
from support.process import environment
from support.service_process import free_ports

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "canary-7f3a"


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def variables(monkeypatch):
    """The standard variables of a test; no others are there."""
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)

    def give(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return values

    return give


@pytest.fixture
async def tracer(collector, variables):
    given = variables(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="20")
    made = start_tracing(given)
    yield made
    await made.close()


@pytest.fixture
def traced(tracer):
    """Makes pipelines that are looked on at."""
    registry = Registry()
    telemetry = Telemetry(tracer=tracer)
    end = observe(registry, telemetry)
    yield registry.pipeline
    end()


def tree(spans):
    """Each span as (name, its parent's name, how it ended), in the order in which they began to be ended."""
    names = {span.span_id: span.name for span in spans}
    return [(span.name, names.get(span.parent_id, span.parent_id), span.outcome.rpartition(".")[2]) for span in spans]


def event_names(span):
    return [name for name, _ in span.events]


async def test_a_call_and_each_of_its_attempts_is_a_span_with_what_the_policies_told(collector, traced):
    search = traced("dvecdb", Retry(initial_delay=0.001, jitter="none"), CircuitBreaker(), Timeout(5.0))
    await search.call(Script(ConnectionError(), "hit"))
    first, second, call = spans = collector.wait_for(3)
    assert tree(spans) == [
        ("dvecdb attempt", "dvecdb", "ConnectionError"),
        ("dvecdb attempt", "dvecdb", ""),
        ("dvecdb", "", ""),
    ]
    assert {span.trace_id for span in spans} == {call.trace_id}
    assert [span.kind for span in spans] == ["CLIENT", "CLIENT", "INTERNAL"]
    assert [span.failed for span in spans] == [True, False, False]
    assert [span.attributes["sengol.attempt"] for span in (first, second)] == [1, 2]
    assert call.attributes == {"sengol.pipeline": "dvecdb"}
    ((name, told),) = call.events
    assert name == "Retrying"
    assert told == {"sengol.policy": "retry", "sengol.attempt": 1, "sengol.delay": 0.001, "sengol.error": "ConnectionError"}
    assert call.nanoseconds >= first.nanoseconds + second.nanoseconds


async def test_an_attempt_that_was_cut_says_so_itself(collector, traced):
    search = traced("dvecdb", CircuitBreaker(), Timeout(0.01))
    with pytest.raises(TimedOut):
        await search.call(Script(hang))
    attempt, call = collector.wait_for(2)
    assert (event_names(attempt), event_names(call)) == (["AttemptTimedOut"], [])
    assert attempt.outcome == call.outcome == "sengol_api.resilience.errors.TimedOut"
    assert attempt.failed


async def test_what_is_refused_served_from_elsewhere_or_kept_has_no_attempt(collector, traced):
    search = traced("dvecdb", Fallback({"keyword": lambda *_: "found"}), CircuitBreaker())
    search["circuit_breaker"].isolate()
    assert (await search.call(Script("never"))).by == "keyword"
    (call,) = collector.wait_for(1)
    assert event_names(call) == ["CallRejected", "FellBack"]
    assert call.events[1][1]["sengol.label"] == "keyword"
    assert not call.failed
    kept = traced("kept", Cache(key=str))
    await kept.call(Script("hit"), 1)
    await kept.call(Script("hit"), 1)
    assert [span.name for span in collector.wait_for(4)[1:]] == ["kept attempt", "kept", "kept"]
    with pytest.raises(CircuitOpen):
        await traced("other", search["circuit_breaker"]).call(Script("never"))
    assert collector.wait_for(5)[-1].outcome.endswith("CircuitOpen")


async def test_hedged_attempts_stand_side_by_side_under_their_call(collector, traced):
    search = traced("dvecdb", Hedge(idempotent=True, delay=0.02, budget=1.0, burst=10.0))
    for _ in range(5):
        await search.call(Script("fill the budget"))
    assert await search.call(Script(hang, after(0.01, "second"))) == "second"
    spans = collector.wait_for(13)[10:]
    assert sorted(tree(spans)) == [
        ("dvecdb", "", ""),
        ("dvecdb attempt", "dvecdb", ""),
        ("dvecdb attempt", "dvecdb", "CancelledError"),
    ]
    call = spans[-1]
    assert event_names(call) == ["HedgeStarted", "HedgeWon"]
    lost = next(span for span in spans if span.outcome)
    assert not lost.failed  # it was cancelled, and did nothing wrong
    assert current.get() is None


async def test_a_call_within_an_attempt_is_under_it_and_a_pipeline_may_call_itself(collector, traced):
    inner, outer = traced("inner"), traced("outer")

    async def ask():
        return await inner.call(Script("x"))

    async def again():
        return await outer.call(ask)

    await outer.call(again)
    assert tree(collector.wait_for(6)) == [
        ("inner attempt", "inner", ""),
        ("inner", "outer attempt", ""),
        ("outer attempt", "outer", ""),
        ("outer", "outer attempt", ""),
        ("outer attempt", "outer", ""),
        ("outer", "", ""),
    ]


async def test_plain_functions_are_traced_from_their_threads(collector, traced):
    search = traced("dvecdb", Retry(initial_delay=0.0), Chaos())
    work = Script(ConnectionError(), "hit")
    await asyncio.to_thread(search.call_sync, work.sync)
    assert [name for name, _, _ in tree(collector.wait_for(3))] == ["dvecdb attempt", "dvecdb attempt", "dvecdb"]


async def test_calls_at_the_same_time_do_not_get_into_each_others_spans(collector, traced):
    search = traced("dvecdb", Retry(initial_delay=0.001, budget=None))

    async def one():
        await search.call(Script(after(0.001, ConnectionError()), after(0.001, "hit")))

    await asyncio.gather(*(one() for _ in range(20)))
    spans = collector.wait_for(60)
    calls = {span.span_id: span for span in spans if span.name == "dvecdb"}
    assert len({span.trace_id for span in calls.values()}) == 20
    for span in spans:
        if span.name == "dvecdb attempt":
            assert span.trace_id == calls[span.parent_id].trace_id
    assert all(len(call.events) == 1 for call in calls.values())


async def test_what_is_sent_on_names_the_attempt(collector, traced):
    sent = []

    async def ask():
        headers = {}
        inject(headers)
        sent.append(headers["traceparent"])

    await traced("openai", Timeout(5.0)).call(ask)
    attempt, _ = collector.wait_for(2)
    assert sent == [f"00-{attempt.trace_id}-{attempt.span_id}-03"]  # recorded, and of a random id
    assert current.get() is None


async def test_a_provider_of_models_gets_the_trace_of_the_attempt(collector, tracer):
    registry = Registry()
    observe(registry, Telemetry(tracer=tracer))
    with openai_faults() as provider:
        provider.script("server_error", path=CHAT)
        options = OpenAIOptions(api_key="sk-test", base_url=f"{provider.url}/v1", model="gpt-4o")
        async with OpenAIClient(options, registry=registry) as client:
            for pipeline in registry.policies("retry"):
                registry.update(pipeline, "retry", initial_delay=0.0)
            await client.chat_completion([{"role": "user", "content": CANARY}])
            await client.generate_embedding(CANARY)
        sent = [each.headers["traceparent"].split("-") for each in provider.requests]
    await tracer.close()
    attempts = {span.span_id: span for span in collector.wait_for(1) if span.name.endswith(" attempt")}
    assert len(sent) == 3
    for _, trace_id, span_id, _ in sent:
        assert attempts[span_id].trace_id == trace_id
    assert [attempts[span_id].failed for _, _, span_id, _ in sent] == [True, False, False]
    assert CANARY.encode() not in b"".join(collector.raw)


async def test_facts_are_put_on_the_span_wherever_that_is(collector, traced):
    async def ask():
        annotate({"gen_ai.usage.input_tokens": 812})

    await traced("openai").call(ask)
    assert collector.wait_for(2)[0].attributes["gen_ai.usage.input_tokens"] == 812


async def test_no_text_of_an_error_and_no_argument_is_sent(collector, traced):
    async def fail(prompt):
        raise ValueError(f"cannot use {prompt}") from KeyError(prompt)

    search = traced(
        "openai",
        Fallback({"smaller": fail}),
        Cache(stale_if_error=60.0),
        Retry(initial_delay=0.0, retry_on=ValueError),
        CircuitBreaker(),
    )
    with pytest.raises(ValueError, match=CANARY):
        await search.call(fail, CANARY)
    call = collector.wait_for(5)[-1]
    assert call.outcome == "ValueError"
    assert call.message == ""
    assert CANARY.encode() not in b"".join(collector.raw)


# --- requests


async def test_a_request_goes_on_with_the_trace_of_its_caller(collector, tracer, traced):
    span = tracer.request("GET", "https", read([f"00-{TRACE}-{SPAN}-01"], ["a=1"]))
    await traced("dvecdb").call(Script("hit"))
    span.end_request("GET", "/api/review/{id}", 200, None)
    attempt, call, request = collector.wait_for(3)
    assert tree([attempt, call, request]) == [
        ("dvecdb attempt", "dvecdb", ""),
        ("dvecdb", "GET /api/review/{id}", ""),
        ("GET /api/review/{id}", SPAN, ""),
    ]
    assert {each.trace_id for each in (attempt, call, request)} == {TRACE}
    assert {each.state for each in (attempt, call, request)} == {"a=1"}
    assert (request.kind, request.failed) == ("SERVER", False)
    assert request.attributes == {
        "http.request.method": "GET", "url.scheme": "https", "http.route": "/api/review/{id}", "http.response.status_code": 200,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "code", "kind", "failed"),
    [
        (404, "NOT_FOUND", "", False),
        (503, "OVERLOADED", "OVERLOADED", True),
        (500, None, "500", True),
        (0, None, "client_gone", False),
    ],
)
async def test_only_a_fault_of_the_service_is_a_failed_span(collector, tracer, status, code, kind, failed):
    tracer.request("BREW", "http", None).end_request("BREW", "(none)", status, code)
    (span,) = collector.wait_for(1)
    assert (span.name, span.outcome, span.failed) == ("HTTP (none)", kind, failed)
    assert span.attributes["http.request.method"] == "_OTHER"


async def test_a_trace_that_its_caller_does_not_record_is_not_recorded_here_and_is_sent_on_so(collector, tracer, traced):
    headers = {}

    async def ask():
        inject(headers)

    span = tracer.request("GET", "http", read([f"00-{TRACE}-{SPAN}-00"]))
    await traced("dvecdb", Retry()).call(ask)
    span.end_request("GET", "/x", 500, None)
    assert headers["traceparent"].startswith(f"00-{TRACE}-")
    assert headers["traceparent"].endswith("-00")
    tracer.request("GET", "http", None).end_request("GET", "/y", 200, None)
    assert [each.name for each in collector.wait_for(1)] == ["GET /y"]


async def test_the_sender_is_named_and_the_environment_may_name_it_otherwise(collector, variables):
    for extra, name in (
        ({}, "sengol-api"),
        ({"OTEL_SERVICE_NAME": "reviews"}, "reviews"),
        ({"OTEL_SERVICE_NAME": "", "OTEL_RESOURCE_ATTRIBUTES": "service.name=of-team,service.version=9"}, "of-team"),
    ):
        tracer = start_tracing(variables(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **extra))
        tracer.request("GET", "http", None).end_request("GET", "/x", 200, None)
        await tracer.close()
        assert collector.wait_for(1)[-1].resource["service.name"] == name
    assert collector.wait_for(1)[-1].resource["service.version"] == "9"


async def test_the_standard_variables_say_where_to_and_how(collector, variables):
    tracer = start_tracing(
        variables(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/elsewhere",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )
    )
    tracer.request("GET", "http", None).end_request("GET", "/x", 200, None)
    await tracer.close()
    assert collector.paths == ["/elsewhere"]
    assert collector.headers[0]["authorization"] == "Bearer x"
    assert collector.headers[0]["content-encoding"] == "gzip"


# --- a collector in trouble


async def test_a_collector_that_is_away_costs_its_spans_and_nobody_waits(variables, traced_calls):
    (port,) = free_ports(1)
    tracer = start_tracing(variables(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="10"))
    assert await traced_calls(tracer) < 1.0
    started = time.monotonic()
    await tracer.close(0.3)
    assert time.monotonic() - started < 5.0  # the SDK alone would try for ten seconds, and wait for thirty


async def test_a_collector_that_is_stuck_delays_neither_a_request_nor_the_end(collector, variables, traced_calls):
    collector.stuck = True
    tracer = start_tracing(variables(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="10"))
    assert await traced_calls(tracer) < 1.0
    collector.wait_for_request()
    assert await traced_calls(tracer) < 1.0
    started = time.monotonic()
    await tracer.close(0.3)
    assert time.monotonic() - started < 5.0


async def test_a_collector_that_refuses_is_counted(collector, variables, traced_calls):
    from support.tiny_http import Reply

    collector.reply = Reply(400, b"no")
    tracer = start_tracing(variables(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url))
    await traced_calls(tracer)
    await tracer.close()
    counts = {labels[0]: value for _, labels, value in tracer.collect()}
    assert counts == {"exported": 0.0, "failed": 10.0}


@pytest.fixture
def traced_calls():
    """Makes ten requests with spans, and gives the longest time that one took, in seconds."""

    async def make(tracer):
        times = []
        for _ in range(10):
            started = time.monotonic()
            tracer.request("GET", "http", None).end_request("GET", "/x", 200, None)
            times.append(time.monotonic() - started)
            await asyncio.sleep(0)
        return max(times)

    return make


def test_a_process_ends_though_the_collector_is_stuck(collector):
    collector.stuck = True
    script = """
import asyncio, os
from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.tracing import start_tracing

async def main():
    telemetry = Telemetry(tracer=start_tracing(os.environ))
    async with telemetry.running():
        telemetry.tracer.request("GET", "http", None).end_request("GET", "/x", 200, None)
        await asyncio.sleep(0.1)

asyncio.run(main())
"""
    settings = environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="10")
    done = subprocess.run([sys.executable, "-c", script], env=settings, timeout=20, check=False)
    assert done.returncode == 0
    assert collector.raw


# --- on and off


@pytest.mark.parametrize(
    ("given", "on"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "TRUE", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, False),
        ({"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
    ],
)
def test_traces_are_on_when_the_standard_variables_name_a_collector(given, on):
    assert wanted(given) is on


def test_what_is_off_imports_nothing_of_opentelemetry():
    script = """
import sys
import sengol_api.api.app
from sengol_api.observability.tracing import start_tracing
assert start_tracing({}) is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""
    subprocess.run([sys.executable, "-c", script], env=environment(), timeout=60, check=True)


def test_what_is_wanted_and_not_installed_is_told_and_the_service_runs_without(caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "sengol_api.observability.otel", None)
    assert start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) is None
    assert "pip install 'sengol-api[tracing]'" in caplog.text


@pytest.mark.parametrize("given", [{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"OTEL_TRACES_EXPORTER": "zipkin"}])
def test_what_cannot_be_is_told_and_the_service_runs_without(caplog, given):
    assert start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", **given}) is None
    assert "http/protobuf only" in caplog.text


def test_variables_that_cannot_be_used_are_told_and_the_service_runs_without(caplog, variables):
    given = variables(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_BSP_MAX_QUEUE_SIZE="-1")
    assert start_tracing(given) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_variables_of_a_file_are_put_where_opentelemetry_reads_them(variables, monkeypatch):
    import os

    variables(OTEL_SERVICE_NAME="of the process")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_BSP_SCHEDULE_DELAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tracing, "_open_telemetry", lambda: None)
    start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SERVICE_NAME": "of the file", "PATH": "nowhere"})
    assert os.environ.pop("OTEL_EXPORTER_OTLP_ENDPOINT") == "http://x"
    assert os.environ["OTEL_SERVICE_NAME"] == "of the process"
    assert os.environ["PATH"] != "nowhere"


def test_a_tracer_is_what_the_protocol_says():
    members = {name for name in vars(tracing.Tracer) if not name.startswith("_")}
    assert members <= set(dir(OpenTelemetryTracer))
