"""The policies of a registry as metrics: read from their snapshots when somebody asks, by a table and not by client."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sengol_api.observability.metrics.model import CATALOGUE, Family, Sample
from sengol_api.resilience import Policy, Registry

_counter, _gauge = CATALOGUE.counter, CATALOGUE.gauge


class Reading(Protocol):
    """How a field of a snapshot becomes samples."""

    @property
    def family(self) -> Family:
        """Whose samples they are."""
        ...

    def samples(self, value: Any, labels: tuple[str, ...]) -> Iterator[Sample]:
        """The samples of the field's value; ``labels`` are those of the policy."""
        ...


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or None for no sample; it may be one of several in its family."""

    family: Family
    label: str = ""

    def samples(self, value: Any, labels: tuple[str, ...]) -> Iterator[Sample]:
        """See :class:`Reading`."""
        if value is not None:
            yield self.family, (*labels, self.label) if self.label else labels, float(value)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers by the value of one more label."""

    family: Family

    def samples(self, value: Any, labels: tuple[str, ...]) -> Iterator[Sample]:
        """See :class:`Reading`."""
        for label, each in value.items():
            yield self.family, (*labels, label), float(each)


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of some words, each of which is a sample: 1 for the one, 0 for the others. Over workers that counts them."""

    family: Family
    words: tuple[str, ...]

    def samples(self, value: Any, labels: tuple[str, ...]) -> Iterator[Sample]:
        """See :class:`Reading`."""
        if value is not None:
            for word in self.words:
                yield self.family, (*labels, word), float(word == str(value))


@dataclass(frozen=True, slots=True)
class Is:
    """1 while the field has a certain value, else 0; no sample for None."""

    family: Family
    wanted: object

    def samples(self, value: Any, labels: tuple[str, ...]) -> Iterator[Sample]:
        """See :class:`Reading`."""
        if value is not None:
            yield self.family, labels, float(value == self.wanted)


_LIMIT: Final = _gauge("sengol_timeout_limit_seconds", "Time that an attempt has.", "pipeline", "policy", across="max")
_CUT: Final = _counter("sengol_timeout_cut_total", "Attempts that were cut because their time was over.", "pipeline", "policy")
_LATE: Final = _counter(
    "sengol_timeout_late_total", "Plain functions that answered after their limit; nothing can cut them.", "pipeline", "policy"
)
_BULKHEAD_REJECTED: Final = _counter(
    "sengol_bulkhead_rejected_total",
    "Calls that found no place: the queue was full, or none came free in time (expired).",
    "pipeline",
    "reason",
)
_CACHE_REQUESTS: Final = _counter(
    "sengol_cache_requests_total",
    "Calls by what answered them: hit, stale, coalesced with one that was under way, or miss (which the second tier may answer).",
    "pipeline",
    "outcome",
)
_CACHE_REMOVED: Final = _counter(
    "sengol_cache_removed_total", "Entries that went for newer ones (evicted) or because their time was over.", "pipeline", "reason"
)
_RATE_CALLS: Final = _counter("sengol_rate_limit_calls_total", "Calls that the rate let go or refused.", "pipeline", "outcome")
_CHAOS: Final = _counter("sengol_chaos_injected_total", "Calls that were spoilt on purpose.", "pipeline", "what")

READINGS: Final[Mapping[str, Mapping[str, Reading]]] = {
    "circuit_breaker": {
        "state": OneOf(
            _gauge("sengol_circuit_breaker_state", "Workers whose circuit breaker is in this state.", "pipeline", "state"),
            ("CLOSED", "OPEN", "HALF_OPEN", "ISOLATED", "DISABLED"),
        ),
        "recent_failures": Number(
            _gauge("sengol_circuit_breaker_recent_failures", "Failures that the window of the breaker holds.", "pipeline")
        ),
        "rejected": Number(_counter("sengol_circuit_breaker_rejected_total", "Calls that the breaker refused.", "pipeline")),
        "probes": Number(_gauge("sengol_circuit_breaker_probes", "Probes that are under way.", "pipeline")),
        "retry_after": Number(
            _gauge(
                "sengol_circuit_breaker_retry_after_seconds",
                "Time until an open breaker lets a probe through; no sample unless it is open.",
                "pipeline",
                across="max",
            )
        ),
    },
    "retry": {
        "calls": Number(_counter("sengol_retry_calls_total", "Calls, each counted once.", "pipeline")),
        "retries": Number(_counter("sengol_retries_total", "Further attempts that calls took.", "pipeline")),
        "gave_up": Numbers(
            _counter(
                "sengol_retry_gave_up_total",
                "Calls that ended in a failure that may pass, by what forbade another attempt.",
                "pipeline",
                "bound",
            )
        ),
        "budget": Number(_gauge("sengol_retry_budget", "Retries that the budget would allow now.", "pipeline")),
    },
    "bulkhead": {
        "in_flight": Number(_gauge("sengol_bulkhead_in_flight", "Calls that hold a place.", "pipeline")),
        "queued": Number(_gauge("sengol_bulkhead_queued", "Calls that wait for a place.", "pipeline")),
        "max_concurrent": Number(_gauge("sengol_bulkhead_limit", "Places.", "pipeline")),
        "rejected": Number(_BULKHEAD_REJECTED, "full"),
        "expired": Number(_BULKHEAD_REJECTED, "expired"),
    },
    "cache": {
        "entries": Number(_gauge("sengol_cache_entries", "Entries held.", "pipeline")),
        "bytes": Number(_gauge("sengol_cache_bytes", "Size of the values held, as the cache is told it.", "pipeline")),
        "in_flight": Number(_gauge("sengol_cache_calls_in_flight", "Shared calls that are under way.", "pipeline")),
        "hits": Number(_CACHE_REQUESTS, "hit"),
        "misses": Number(_CACHE_REQUESTS, "miss"),
        "coalesced": Number(_CACHE_REQUESTS, "coalesced"),
        "stale_served": Number(_CACHE_REQUESTS, "stale"),
        "refreshes": Number(
            _counter("sengol_cache_refreshes_total", "Calls made to replace a value that could still be served.", "pipeline")
        ),
        "refresh_failures": Number(_counter("sengol_cache_refresh_failures_total", "Those of them that failed.", "pipeline")),
        "evictions": Number(_CACHE_REMOVED, "evicted"),
        "expirations": Number(_CACHE_REMOVED, "expired"),
        "not_cached": Number(_counter("sengol_cache_not_cached_total", "Results that could not be kept.", "pipeline")),
        "tier": Is(
            _gauge("sengol_cache_tier_away", "Workers that leave the second tier alone because it fails.", "pipeline"), "OPEN"
        ),
        "tier_hits": Number(_counter("sengol_cache_tier_hits_total", "Calls that the second tier answered.", "pipeline")),
        "tier_errors": Number(_counter("sengol_cache_tier_errors_total", "Accesses to the second tier that failed.", "pipeline")),
    },
    "timeout": {"limit": Number(_LIMIT), "timed_out": Number(_CUT), "late": Number(_LATE)},
    "adaptive_timeout": {
        "limit": Number(_LIMIT),
        "timed_out": Number(_CUT),
        "late": Number(_LATE),
        "observed": Number(
            _gauge(
                "sengol_timeout_observed_seconds",
                "Quantile of the latency that an adaptive limit follows.",
                "pipeline",
                "policy",
                across="max",
            )
        ),
    },
    "rate_limit": {
        "allowed": Number(_RATE_CALLS, "allowed"),
        "rejected": Number(_RATE_CALLS, "rejected"),
        "waited": Number(_counter("sengol_rate_limit_waited_total", "Calls that had to wait for their turn.", "pipeline")),
        "keys": Number(_gauge("sengol_rate_limit_keys", "Keys that are remembered.", "pipeline")),
        "store": Is(
            _gauge("sengol_rate_limit_store_away", "Workers that limit by themselves: the shared store fails.", "pipeline"), "away"
        ),
        "store_errors": Number(_counter("sengol_rate_limit_store_errors_total", "Failures of the shared store.", "pipeline")),
    },
    "admission": {
        "limit": Number(_gauge("sengol_admission_limit", "Calls that may run at once.", "pipeline")),
        "in_flight": Number(_gauge("sengol_admission_in_flight", "Calls that run.", "pipeline")),
        "queued": Numbers(_gauge("sengol_admission_queued", "Calls that wait.", "pipeline", "priority")),
        "overloaded": Number(_gauge("sengol_admission_overloaded", "Workers under overload.", "pipeline")),
        "rejected": Numbers(_counter("sengol_admission_rejected_total", "Calls turned away, by class.", "pipeline", "priority")),
        "reasons": Numbers(_counter("sengol_admission_turned_away_total", "The same calls, by reason.", "pipeline", "reason")),
    },
    "adaptive_limit": {
        "limit": Number(_gauge("sengol_adaptive_limit", "Calls at once that the limit allows now.", "pipeline")),
        "in_flight": Number(_gauge("sengol_adaptive_limit_in_flight", "Calls that run.", "pipeline")),
        "latency": Number(
            _gauge("sengol_adaptive_limit_latency_seconds", "Median latency of the last window.", "pipeline", across="max")
        ),
        "rejected": Numbers(_counter("sengol_adaptive_limit_rejected_total", "Calls refused, by class.", "pipeline", "priority")),
        "dropped": Number(_counter("sengol_adaptive_limit_dropped_total", "Calls lost to overload.", "pipeline")),
    },
    "hedge": {
        "calls": Number(_counter("sengol_hedge_calls_total", "Calls, each counted once.", "pipeline")),
        "hedges": Number(_counter("sengol_hedges_total", "Further calls that were started.", "pipeline")),
        "won": Number(_counter("sengol_hedges_won_total", "Further calls that answered first.", "pipeline")),
        "denied": Number(_counter("sengol_hedges_denied_total", "Further calls that the budget forbade.", "pipeline")),
        "delay": Number(_gauge("sengol_hedge_delay_seconds", "Time after which a further call starts.", "pipeline", across="max")),
        "budget": Number(_gauge("sengol_hedge_budget", "Further calls that the budget would allow now.", "pipeline")),
    },
    "fallback": {
        "served": Numbers(
            _counter(
                "sengol_fallback_answers_total",
                "Answers by who gave them: primary for the work itself.",
                "pipeline",
                "policy",
                "served",
            )
        ),
        "failed": Numbers(
            _counter("sengol_fallback_failures_total", "Errors of alternatives.", "pipeline", "policy", "alternative")
        ),
        "unserved": Number(
            _counter("sengol_fallback_unserved_total", "Calls that nobody had an answer for.", "pipeline", "policy")
        ),
    },
    "chaos": {
        "enabled": Number(_gauge("sengol_chaos_enabled", "Workers in which calls are spoilt on purpose.", "pipeline")),
        "faults": Number(_CHAOS, "fault"),
        "delayed": Number(_CHAOS, "latency"),
        "results": Number(_CHAOS, "result"),
    },
}
"""What of each kind's snapshot is shown."""

LEFT_OUT: Final[Mapping[str, frozenset[str]]] = {
    "circuit_breaker": frozenset({"failure_count", "success_count", "next_attempt", "generation", "since"}),
    "cache": frozenset({"hit_rate"}),
    "adaptive_timeout": frozenset({"samples"}),
    "chaos": frozenset({"calls"}),
}
"""What is not: it follows from the rest, or means nothing as a sum."""

_VALUE: Final = _gauge("sengol_policy_value", "Numbers of policies that are none of the toolkit's.", "pipeline", "policy", "field")
_LISTENER_ERRORS: Final = _counter("sengol_listener_errors_total", "Listeners to events that raised.", "pipeline")


def policies(registry: Registry) -> Iterator[Policy[Any]]:
    """Every policy of a registry once, also when several pipelines share it."""
    seen: set[int] = set()
    for name in registry:
        try:
            pipeline = registry[name]
        except KeyError:  # removed meanwhile
            continue
        for place in pipeline:
            policy: Policy[Any] = pipeline[place]
            if id(policy) not in seen:
                seen.add(id(policy))
                yield policy


def toolkit_samples(registry: Registry) -> Iterator[Sample]:
    """What the policies of a registry have counted, and how they stand. A shared one goes by the pipeline that built it."""
    for policy in policies(registry):
        snapshot = policy.snapshot()
        readings = READINGS.get(policy.kind)
        yield from _unknown(policy, snapshot) if readings is None else _known(policy, snapshot, readings)
    for name in registry:
        try:
            events = registry[name].events
        except KeyError:  # removed meanwhile
            continue
        yield _LISTENER_ERRORS, (name,), float(events.errors)


def _known(policy: Policy[Any], snapshot: Any, readings: Mapping[str, Reading]) -> Iterator[Sample]:
    for field, reading in readings.items():
        own = 2 if "policy" in reading.family.labels[:2] else 1
        yield from reading.samples(getattr(snapshot, field), (policy.site.pipeline, policy.site.policy)[:own])


def _unknown(policy: Policy[Any], snapshot: Any) -> Iterator[Sample]:
    """The numbers of a snapshot whose kind has no table: nobody's policy is invisible."""
    for field in getattr(snapshot, "__dataclass_fields__", ()):
        value = getattr(snapshot, field)
        if isinstance(value, int | float):
            yield _VALUE, (policy.site.pipeline, policy.site.policy, field), float(value)
