"""Calls and attempts of pipelines as metrics: how many, how they ended, how long they took."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from sengol_api.observability.metrics.instruments import Count, Observations
from sengol_api.observability.metrics.model import CATALOGUE, Sample
from sengol_api.resilience import Event, Rejected, TimedOut
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.policy import AsyncCall, SyncCall

_OUTCOMES: Final = ("success", "error", "timeout", "rejected", "cancelled")

_CALLS: Final = CATALOGUE.counter(
    "sengol_pipeline_calls_total",
    "Calls by how they ended: success, error, timeout, rejected (refused by a policy) or cancelled.",
    "pipeline",
    "outcome",
)
_CALL_SECONDS: Final = CATALOGUE.histogram(
    "sengol_pipeline_call_duration_seconds", "Time of a call with all that its policies did.", "pipeline"
)
_IN_FLIGHT: Final = CATALOGUE.gauge("sengol_pipeline_calls_in_flight", "Calls that are under way.", "pipeline")
_ATTEMPTS: Final = CATALOGUE.counter(
    "sengol_pipeline_attempts_total", "Attempts at the work itself, by how they ended.", "pipeline", "outcome"
)
_ATTEMPT_SECONDS: Final = CATALOGUE.histogram(
    "sengol_pipeline_attempt_duration_seconds", "Time of an attempt: how fast the dependency is.", "pipeline"
)
_EVENTS: Final = CATALOGUE.counter("sengol_policy_events_total", "Events that policies told.", "pipeline", "event")
_TRANSITIONS: Final = CATALOGUE.counter(
    "sengol_circuit_breaker_transitions_total", "Times that a circuit breaker got into this state.", "pipeline", "state"
)

_clock: Final = time.perf_counter


def outcome_of(error: BaseException) -> str:
    """How a call ended that raised."""
    if isinstance(error, Rejected):
        return "rejected"
    if isinstance(error, TimedOut):
        return "timeout"
    return "error" if isinstance(error, Exception) else "cancelled"


class _Measured:
    """The calls, or the attempts, of one pipeline. One that was refused took no time, and has none in the histogram."""

    __slots__ = ("begin", "begun", "ended", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.begun = Counter()
        self.begin = self.begun.add
        self.ended = {outcome: Counter() for outcome in _OUTCOMES}
        self.seconds = Observations(bounds)

    def raised(self, error: BaseException, seconds: float) -> None:
        outcome = outcome_of(error)
        self.ended[outcome].add()
        if outcome != "rejected":
            self.seconds.observe(seconds)

    def around(self, inner: AsyncCall) -> AsyncCall:
        begin, succeed, observe, raised = self.begin, self.ended["success"].add, self.seconds.observe, self.raised

        async def call(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            begin()
            started = _clock()
            try:
                result = await inner(function, args, kwargs)
            except BaseException as error:
                raised(error, _clock() - started)
                raise
            succeed()
            observe(_clock() - started)
            return result

        return call

    def around_sync(self, inner: SyncCall) -> SyncCall:
        begin, succeed, observe, raised = self.begin, self.ended["success"].add, self.seconds.observe, self.raised

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            begin()
            started = _clock()
            try:
                result = inner(function, args, kwargs)
            except BaseException as error:
                raised(error, _clock() - started)
                raise
            succeed()
            observe(_clock() - started)
            return result

        return call


class PipelineCalls:
    """Measures the pipelines of a registry: an :class:`~sengol_api.resilience.Instrument`, and a listener to their events."""

    def __init__(self) -> None:
        self._calls: dict[str, _Measured] = {}
        self._attempts: dict[str, _Measured] = {}
        self._events = Count(_EVENTS)
        self._transitions = Count(_TRANSITIONS)

    def _of_calls(self, pipeline: str) -> _Measured:
        return self._calls.get(pipeline) or self._calls.setdefault(pipeline, _Measured(_CALL_SECONDS.buckets))

    def _of_attempts(self, pipeline: str) -> _Measured:
        return self._attempts.get(pipeline) or self._attempts.setdefault(pipeline, _Measured(_ATTEMPT_SECONDS.buckets))

    def around_calls(self, pipeline: str, inner: AsyncCall) -> AsyncCall:
        """See the protocol."""
        return self._of_calls(pipeline).around(inner)

    def around_calls_sync(self, pipeline: str, inner: SyncCall) -> SyncCall:
        """See the protocol."""
        return self._of_calls(pipeline).around_sync(inner)

    def around_attempts(self, pipeline: str, inner: AsyncCall) -> AsyncCall:
        """See the protocol."""
        return self._of_attempts(pipeline).around(inner)

    def around_attempts_sync(self, pipeline: str, inner: SyncCall) -> SyncCall:
        """See the protocol."""
        return self._of_attempts(pipeline).around_sync(inner)

    def heard(self, event: Event) -> None:
        """Count an event."""
        self._events.add(event.pipeline, type(event).__name__)
        if isinstance(event, CircuitChanged):
            self._transitions.add(event.pipeline, str(event.state))

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        for pipeline, calls in list(self._calls.items()):
            ended = {outcome: counter.value for outcome, counter in calls.ended.items()}
            yield from ((_CALLS, (pipeline, outcome), float(count)) for outcome, count in ended.items())
            yield _CALL_SECONDS, (pipeline,), calls.seconds.value()
            yield _IN_FLIGHT, (pipeline,), float(max(0, calls.begun.value - sum(ended.values())))
        for pipeline, attempts in list(self._attempts.items()):
            for outcome, counter in attempts.ended.items():
                yield _ATTEMPTS, (pipeline, outcome), float(counter.value)
            yield _ATTEMPT_SECONDS, (pipeline,), attempts.seconds.value()
        yield from self._events.collect()
        yield from self._transitions.collect()
