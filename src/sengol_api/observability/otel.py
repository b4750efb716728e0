"""Spans by the OpenTelemetry SDK. Imported only when traces are on."""

import asyncio
import os
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.span import TraceState

from sengol_api import __version__
from sengol_api.observability.facts import facts_of_event
from sengol_api.observability.metrics.model import Sample
from sengol_api.observability.trace_context import TraceContext, current
from sengol_api.observability.tracing import SPANS
from sengol_api.observability.withheld import kind_of
from sengol_api.resilience import AttemptLate, AttemptTimedOut, ChaosInjected, Event
from sengol_api.resilience.policy import AsyncCall, SyncCall

_KNOWN_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_OF_ATTEMPT: Final = (AttemptTimedOut, AttemptLate, ChaosInjected)

Attributes = Mapping[str, str | int | float | bool]


class Span(TraceContext):
    """A span of ours, and the present place in the trace while it lasts.

    Attributes:
        pipeline: whose call or attempt it is; empty for a request.
        call: of an attempt, the span of its call.
        attempts: of a call, how many attempts it has made.
    """

    __slots__ = ("_context", "_outer", "_outer_context", "_span", "attempts", "call", "pipeline", "recording")

    def __init__(self, span: OtelSpan, parent: Context, pipeline: str = "", call: "Span | None" = None) -> None:
        told = span.get_span_context()
        state = told.trace_state.to_header() if told.trace_state else ""
        super().__init__(f"{told.trace_id:032x}", f"{told.span_id:016x}", int(told.trace_flags), state)
        self._span = span
        self.recording = span.is_recording()
        self._context = set_span_in_context(span, parent)
        self.pipeline = pipeline
        self.call = call
        self.attempts = 0
        # Put back by hand and not by a token: the first step of a hedged call and the rest of it may run in different contexts.
        self._outer = current.get()
        self._outer_context = otel_context.get_current()
        current.set(self)
        otel_context.attach(self._context)

    @property
    def context(self) -> Context:
        """The same place for OpenTelemetry."""
        return self._context

    def annotate(self, attributes: Attributes) -> None:
        """Put facts on the span."""
        if self.recording:
            self._span.set_attributes(dict(attributes))

    def event(self, name: str, attributes: Attributes) -> None:
        """Put a moment on the span."""
        if self.recording:
            self._span.add_event(name, dict(attributes))

    def fail(self, error: BaseException) -> None:
        """The work of the span raised. A cancellation is no failure of it."""
        if self.recording:
            self._span.set_attribute("error.type", kind_of(error))
            if isinstance(error, Exception):
                self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """The work has ended."""
        self._span.end()
        current.set(self._outer)
        otel_context.attach(self._outer_context)

    def end_request(self, method: str, route: str, status: int, code: str | None) -> None:
        """See :class:`~sengol_api.observability.tracing.RequestSpan`."""
        if self.recording:
            span = self._span
            span.update_name(f"{method if method in _KNOWN_METHODS else 'HTTP'} {route}")
            span.set_attribute("http.route", route)
            if status:
                span.set_attribute("http.response.status_code", status)
            if status >= 500 or not status:
                span.set_attribute("error.type", code or (str(status) if status else "client_gone"))
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
        self.end()


class OpenTelemetryTracer:
    """Makes spans and hands them to an exporter in a thread of its own: see :class:`~sengol_api.observability.tracing.Tracer`.

    A collector that is away or stuck costs spans: the queue is bounded (``OTEL_BSP_MAX_QUEUE_SIZE``), and nobody waits for it.

    Args:
        exporter: sends spans.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = _Counted(exporter)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("sengol_api", __version__)

    @classmethod
    def from_environment(cls) -> Self:
        """A tracer that sends by OTLP over HTTP, as the standard variables say."""
        return cls(OTLPSpanExporter())

    def request(self, method: str, scheme: str, parent: TraceContext | None) -> Span:
        """See :class:`~sengol_api.observability.tracing.Tracer`."""
        known = method if method in _KNOWN_METHODS else "_OTHER"
        context = Context() if parent is None else _from_elsewhere(parent)
        attributes = {"http.request.method": known, "url.scheme": scheme}
        return Span(self._tracer.start_span(known, context, SpanKind.SERVER, attributes), context)

    def _call(self, pipeline: str) -> Span:
        context = _here(current.get())
        return Span(self._tracer.start_span(pipeline, context, SpanKind.INTERNAL, {"sengol.pipeline": pipeline}), context, pipeline)

    def _attempt(self, pipeline: str) -> Span:
        place = current.get()
        if isinstance(place, Span) and place.call is not None and place.pipeline == pipeline:
            place = place.call  # a hedged attempt starts beside the first, not within it
        context = _here(place)
        call = place if isinstance(place, Span) else None
        attributes: dict[str, str | int] = {"sengol.pipeline": pipeline}
        if call is not None:
            call.attempts += 1
            attributes["sengol.attempt"] = call.attempts
        span = self._tracer.start_span(f"{pipeline} attempt", context, SpanKind.CLIENT, attributes)
        return Span(span, context, pipeline, call)

    def heard(self, event: Event) -> None:
        """Put an event on the span of its call, or of its attempt."""
        place = current.get()
        if not isinstance(place, Span):
            return
        if place.call is not None and place.pipeline == event.pipeline and not isinstance(event, _OF_ATTEMPT):
            place = place.call
        place.event(type(event).__name__, {f"sengol.{name}": value for name, value in facts_of_event(event).items()})

    def around_calls(self, pipeline: str, inner: AsyncCall) -> AsyncCall:
        """See :class:`~sengol_api.resilience.Instrument`."""
        return _spanned(lambda: self._call(pipeline), inner)

    def around_calls_sync(self, pipeline: str, inner: SyncCall) -> SyncCall:
        """See :class:`~sengol_api.resilience.Instrument`."""
        return _spanned_sync(lambda: self._call(pipeline), inner)

    def around_attempts(self, pipeline: str, inner: AsyncCall) -> AsyncCall:
        """See :class:`~sengol_api.resilience.Instrument`."""
        return _spanned(lambda: self._attempt(pipeline), inner)

    def around_attempts_sync(self, pipeline: str, inner: SyncCall) -> SyncCall:
        """See :class:`~sengol_api.resilience.Instrument`."""
        return _spanned_sync(lambda: self._attempt(pipeline), inner)

    def collect(self) -> Iterator[Sample]:
        """How many spans were sent and lost."""
        yield SPANS, ("exported",), float(self._exporter.exported)
        yield SPANS, ("failed",), float(self._exporter.failed)

    async def close(self, seconds: float = 2.0) -> None:
        """Send what there is, for no longer than ``seconds``: the SDK would wait half a minute for a collector that is stuck."""
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:  # the loop did not wait for it
                return

        threading.Thread(target=shut_down, daemon=True, name="last spans").start()
        try:
            async with asyncio.timeout(seconds):
                await done.wait()
        except TimeoutError:
            self._exporter.give_up()


def _spanned(begin: Callable[[], Span], inner: AsyncCall) -> AsyncCall:
    async def call(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        span = begin()
        try:
            return await inner(function, args, kwargs)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.end()

    return call


def _spanned_sync(begin: Callable[[], Span], inner: SyncCall) -> SyncCall:
    def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        span = begin()
        try:
            return inner(function, args, kwargs)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.end()

    return call


def _here(place: TraceContext | None) -> Context:
    if isinstance(place, Span):
        return place.context
    return Context() if place is None else _from_elsewhere(place)


def _from_elsewhere(place: TraceContext) -> Context:
    context = SpanContext(
        trace_id=int(place.trace_id, 16),
        span_id=int(place.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(place.flags),
        trace_state=TraceState.from_header([place.state]) if place.state else None,
    )
    return set_span_in_context(NonRecordingSpan(context), Context())


def _resource() -> Resource:
    """Who sends the spans; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` count more."""
    ours: dict[str, str | int] = {
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid4()),
        "process.pid": os.getpid(),
    }
    given = Resource.create()
    unnamed = str(given.attributes.get("service.name", "unknown_service")).startswith("unknown_service")
    return Resource(ours).merge(given).merge(Resource({"service.name": "sengol-api"} if unnamed else {}))


class _Counted(SpanExporter):
    """Counts what became of spans."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.exported = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, in the one thread of the processor."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.exported += len(spans)
            else:
                self.failed += len(spans)
        return result

    def give_up(self) -> None:
        """Send no more, and wait for no other try."""
        self._exporter.shutdown()

    def shutdown(self) -> None:
        """The processor has ended."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing is held here."""
        return self._exporter.force_flush(timeout_millis)
