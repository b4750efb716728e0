"""A collector of traces: takes OTLP over HTTP on the loopback interface, and can fail, be slow or be stuck."""

import gzip
import threading
import time
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from support.tiny_http import Connection, Reply, Request, TinyHttp


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as it came over the wire."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    failed: bool
    message: str
    attributes: dict[str, Any]
    events: tuple[tuple[str, dict[str, Any]], ...]
    resource: dict[str, Any]
    nanoseconds: int

    @property
    def outcome(self) -> str:
        """What kind of error it ended with; empty for none."""
        return self.attributes.get("error.type", "")


class Collector:
    """What was sent, decoded; raw bytes beside, to look for what must not be in them."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.reply = Reply(200, b"", "application/x-protobuf")
        self.stuck = False
        self._spans: list[ReceivedSpan] = []
        self._news = threading.Condition()
        self._server = TinyHttp(self._handle, name="collector")

    @property
    def url(self) -> str:
        """Its base address, as OTEL_EXPORTER_OTLP_ENDPOINT takes it."""
        return self._server.url

    def close(self) -> None:
        """Stop."""
        self._server.close()

    def _handle(self, request: Request, _connection: Connection) -> Any:
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        with self._news:
            self.paths.append(request.path)
            self.headers.append(dict(request.headers))
            self.raw.append(body)
            if not self.stuck and self.reply.status == 200:
                self._spans += _decoded(body)
            self._news.notify_all()
        return _never() if self.stuck else self.reply

    def wait_for(self, count: int, *, patience: float = 20.0) -> list[ReceivedSpan]:
        """So many spans, in the order in which they ended."""
        end = time.monotonic() + patience
        with self._news:
            while len(self._spans) < count:
                left = end - time.monotonic()
                assert left > 0, f"{len(self._spans)} of {count} spans came: {[span.name for span in self._spans]}"
                self._news.wait(left)
            return list(self._spans)

    def wait_for_request(self, *, patience: float = 20.0) -> None:
        """Until anything was sent."""
        end = time.monotonic() + patience
        with self._news:
            while not self.raw:
                left = end - time.monotonic()
                assert left > 0, "nothing was sent"
                self._news.wait(left)


async def _never() -> None:
    import asyncio

    await asyncio.Event().wait()


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def _decoded(body: bytes) -> list[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        ReceivedSpan(
            name=span.name,
            kind=ProtoSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            state=span.trace_state,
            failed=span.status.code == 2,
            message=span.status.message,
            attributes={each.key: _value(each.value) for each in span.attributes},
            events=tuple((event.name, {each.key: _value(each.value) for each in event.attributes}) for event in span.events),
            resource={each.key: _value(each.value) for each in resource.resource.attributes},
            nanoseconds=span.end_time_unix_nano - span.start_time_unix_nano,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
