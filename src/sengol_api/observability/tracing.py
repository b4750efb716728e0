"""Traces: a span per request, per call of a pipeline and per attempt, sent to an OpenTelemetry collector.

They are on when the standard variables name a collector (``OTEL_EXPORTER_OTLP_ENDPOINT``, or the one for traces alone) and the
extra ``tracing`` is installed. Otherwise nothing of OpenTelemetry is imported, and the context that a caller sent is only handed on
(:mod:`~sengol_api.observability.trace_context`).

::

    tracer = start_tracing(environment)                      # None when they are off
    annotate({"gen_ai.request.model": "gpt-4o"})             # facts for the present span, wherever that is
    inject(headers)                                          # the present span, for whoever is called over HTTP

A span never bears content: no query, path, address, body, prompt, or text of an error.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from sengol_api.observability.metrics.model import CATALOGUE, Sample
from sengol_api.observability.trace_context import TraceContext, annotate, current, inject
from sengol_api.resilience import Event, Instrument

_log = logging.getLogger("sengol_api.tracing")

SPANS: Final = CATALOGUE.counter(
    "sengol_trace_spans_total", "Spans that were sent to the collector (exported), or were lost on the way (failed).", "outcome"
)

ON_BY: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class RequestSpan(Protocol):
    """The span of a request."""

    def end_request(self, method: str, route: str, status: int, code: str | None) -> None:
        """The answer has ended.

        Args:
            method: of the request.
            route: the template of its path.
            status: of the answer; 0 when none began.
            code: of the error that it was answered with.
        """
        ...


class Tracer(Instrument, Protocol):
    """Makes spans. As an instrument, those of pipelines; :meth:`heard` puts what policies tell on them."""

    def request(self, method: str, scheme: str, parent: TraceContext | None) -> RequestSpan:
        """Begin the span of a request, which is the present one from here on."""
        ...

    def heard(self, event: Event) -> None:
        """Put an event on the span of its call."""
        ...

    def collect(self) -> Iterator[Sample]:
        """How many spans were sent and lost."""
        ...

    async def close(self, seconds: float = 2.0) -> None:
        """Send what there is, for no longer than ``seconds``."""
        ...


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces."""

    def given(name: str) -> str:
        return environment.get(name, "").strip().lower()

    if given("OTEL_SDK_DISABLED") == "true" or given("OTEL_TRACES_EXPORTER") == "none":
        return False
    return any(given(name) for name in ON_BY) or given("OTEL_TRACES_EXPORTER") == "otlp"


def start_tracing(environment: Mapping[str, str]) -> Tracer | None:
    """A tracer by the standard variables; None when they ask for none, or cannot be used, which is logged.

    Args:
        environment: variables by name. OpenTelemetry reads them from the process itself, so those of a ``.env`` file are put there.
    """
    if not wanted(environment):
        return None
    protocols = {environment.get(name, "").strip() for name in _PROTOCOLS} - {"", "http/protobuf"}
    if protocols or environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in {"", "otlp"}:
        _log.warning("no traces: they can be sent by OTLP over http/protobuf only")
        return None
    for name, value in environment.items():
        if name.startswith("OTEL_"):
            os.environ.setdefault(name, value)
    return _started(_open_telemetry)


def _open_telemetry() -> Tracer:
    from sengol_api.observability.otel import OpenTelemetryTracer

    return OpenTelemetryTracer.from_environment()


def _started(start: Callable[[], Tracer]) -> Tracer | None:
    try:
        return start()
    except ImportError:
        _log.warning("no traces: OpenTelemetry is not installed; pip install 'sengol-api[tracing]'")
    except Exception as error:  # noqa: BLE001 - the service is worth more than its traces
        _log.warning("no traces: the OTEL_ variables cannot be used", exc_info=error)
    return None


__all__ = ["RequestSpan", "TraceContext", "Tracer", "annotate", "current", "inject", "start_tracing", "wanted"]
