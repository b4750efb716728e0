"""From the state of the process to the wire."""

import datetime as dt
from collections.abc import Mapping

from sengol_api.api.present import moment
from sengol_api.api.wire import ops as wire
from sengol_api.ops.audit import Act
from sengol_api.ops.background import WorkSnapshot
from sengol_api.ops.health import CacheView, Check, Readiness
from sengol_api.resilience.adaptive_timeout import AdaptiveTimeoutSnapshot
from sengol_api.resilience.breaker.states import CircuitBreakerSnapshot


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to a tenth."""
    return round(seconds * 1000, 1)


def _epoch(seconds: float) -> str:
    return moment(dt.datetime.fromtimestamp(seconds, dt.UTC))


def breaker(value: CircuitBreakerSnapshot) -> wire.BreakerOut:
    """A circuit breaker."""
    return wire.BreakerOut(
        state=value.state.value,
        failure_count=value.failure_count,
        recent_failures=value.recent_failures,
        success_count=value.success_count,
        rejected=value.rejected,
        probes=value.probes,
        next_attempt=None if value.next_attempt is None else _epoch(value.next_attempt),
        retry_after=None if value.retry_after is None else round(value.retry_after, 3),
        since=_epoch(value.since),
    )


def breakers(values: Mapping[str, CircuitBreakerSnapshot]) -> dict[str, wire.BreakerOut]:
    """Circuit breakers by name."""
    return {name: breaker(value) for name, value in values.items()}


def caches(values: Mapping[str, CacheView]) -> dict[str, wire.CacheOut]:
    """Caches by name."""
    return {name: _cache(value) for name, value in values.items()}


def _cache(value: CacheView) -> wire.CacheOut:
    seen = value.snapshot
    return wire.CacheOut(
        size=seen.entries,
        max_size=value.max_entries,
        bytes=seen.bytes,
        max_bytes=value.max_bytes,
        hit_rate=f"{seen.hit_rate:.1%}",
        hits=seen.hits,
        misses=seen.misses,
        coalesced=seen.coalesced,
        stale_served=seen.stale_served,
        evictions=seen.evictions,
        expirations=seen.expirations,
        in_flight=seen.in_flight,
        shared_tier=seen.tier,
        shared_tier_hits=seen.tier_hits,
        shared_tier_errors=seen.tier_errors,
    )


def _timeout(value: AdaptiveTimeoutSnapshot) -> wire.TimeoutOut:
    return wire.TimeoutOut(
        limit=milliseconds(value.limit),
        observed=None if value.observed is None else milliseconds(value.observed),
        samples=value.samples,
        timed_out=value.timed_out,
    )


def checks(values: Mapping[str, Check]) -> dict[str, wire.CheckOut]:
    """What dependencies said, by name."""
    return {
        name: wire.CheckOut(
            status=value.status,
            response_time=milliseconds(value.seconds),
            reason=value.reason,
            circuit_breaker=None if value.breaker is None else breaker(value.breaker),
            stats=None if value.stats is None else dict(value.stats),
            timeout=None if value.limit is None else _timeout(value.limit),
        )
        for name, value in values.items()
    }


def readiness(value: Readiness) -> wire.ReadyOut:
    """Whether requests may come."""
    return wire.ReadyOut(status="not_ready" if value.reason else "ready", reason=value.reason, checks=checks(value.checks))


def background(values: Mapping[str, WorkSnapshot]) -> dict[str, wire.WorkOut]:
    """Background work by name."""
    return {
        name: wire.WorkOut(
            state=value.state.value,
            starts=value.starts,
            failures=value.failures,
            failures_in_a_row=value.failures_in_a_row,
            last_error=value.last_error,
        )
        for name, value in values.items()
    }


def act(value: Act) -> wire.ActOut:
    """An act of an administrator."""
    return wire.ActOut(
        id=value.id,
        at=moment(value.at),
        actor=value.actor,
        actor_id=value.actor_id,
        action=value.action,
        target=value.target,
        result=value.result,
        request_id=value.request_id,
    )
