"""The shapes of the health routes and of what administrators do."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from sengol_api.api.wire.base import Out

Status = Annotated[Literal["ok", "degraded", "down"], Meta(description="down: without it this replica cannot serve")]
Time = Annotated[float, Meta(ge=0, description="milliseconds")]


class BreakerOut(Out):
    """A circuit breaker."""

    state: Annotated[
        Literal["CLOSED", "OPEN", "HALF_OPEN", "ISOLATED", "DISABLED"],
        Meta(description="ISOLATED and DISABLED are set by hand"),
    ]
    failure_count: Annotated[int, Meta(description="failures since it got into this state")]
    recent_failures: Annotated[int, Meta(description="failures in its window; while it is open, those that opened it")]
    success_count: Annotated[int, Meta(description="successes since it got into this state: of probes, when half-open")]
    rejected: Annotated[int, Meta(description="calls that it refused, in all")]
    probes: Annotated[int, Meta(description="probes under way")]
    next_attempt: Annotated[str | None, Meta(description="when it lets a probe through, while it is open")]
    retry_after: Annotated[float | None, Meta(description="the same in seconds from now")]
    since: Annotated[str, Meta(description="when it got into this state")]


class CacheOut(Out):
    """A cache."""

    size: Annotated[int, Meta(description="entries")]
    max_size: int
    bytes: Annotated[int, Meta(description="of all values")]
    max_bytes: Annotated[int | None, Meta(description="so many at most; null without a bound")]
    hit_rate: Annotated[str, Meta(description="share of calls that needed no call of their own")]
    hits: int
    misses: int
    coalesced: Annotated[int, Meta(description="calls that shared one under way")]
    stale_served: Annotated[int, Meta(description="calls answered with a value past its time")]
    evictions: int
    expirations: int
    in_flight: int
    shared_tier: Annotated[str | None, Meta(description="CLOSED while it is read, OPEN while it is left alone, null without one")]
    shared_tier_hits: int
    shared_tier_errors: int


class TimeoutOut(Out):
    """A time limit that follows the latency."""

    limit: Annotated[float, Meta(description="milliseconds that an attempt has now")]
    observed: Annotated[float | None, Meta(description="the quantile that it follows, in milliseconds; null: too little is known")]
    samples: Annotated[int, Meta(description="answers and cut attempts that it is taken from")]
    timed_out: Annotated[int, Meta(description="attempts that were cut, in all")]


class CheckOut(Out, omit_defaults=True):
    """What a dependency said."""

    status: Status
    response_time: Time
    reason: Annotated[str | None, Meta(description="why it is not ok")] = None
    circuit_breaker: BreakerOut | None = None
    stats: Annotated[dict[str, Any] | None, Meta(description="what it says of itself")] = None
    timeout: Annotated[TimeoutOut | None, Meta(description="with ADAPTIVE_TIMEOUTS; else the limit is fixed")] = None


class WorkOut(Out):
    """Work in the background."""

    state: Annotated[
        Literal["running", "paused", "resting", "done", "stopped"], Meta(description="paused: it failed and will be started again")
    ]
    starts: int
    failures: int
    failures_in_a_row: int
    last_error: Annotated[str | None, Meta(description="class of the last failure; the log has the rest")]


class DetailedOut(Out):
    """The state of everything that this replica needs."""

    status: Status
    timestamp: str
    uptime: Annotated[float, Meta(description="seconds")]
    version: str
    checks: dict[str, CheckOut]
    cache: dict[str, CacheOut]
    circuit_breakers: dict[str, BreakerOut]
    background: dict[str, WorkOut]
    in_flight: Annotated[int, Meta(description="requests that are being answered")]
    response_time: Time


class ReadyOut(Out, omit_defaults=True):
    """Whether this replica should be sent requests."""

    status: Literal["ready", "not_ready"]
    reason: str | None = None
    checks: dict[str, CheckOut] = msgspec.field(default_factory=dict)


class CachesOut(Out):
    """Every cache."""

    cache: dict[str, CacheOut]


class BreakersOut(Out):
    """Every circuit breaker."""

    circuit_breakers: dict[str, BreakerOut]


class SteeredOut(Out):
    """A circuit breaker after an order."""

    name: str
    act: Annotated[int, Meta(description="number in the audit log")]
    circuit_breaker: BreakerOut


class CacheQuery(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Which cache."""

    name: Annotated[Annotated[str, Meta(max_length=100)] | None, Meta(description="one cache; all by default")] = None


class ClearedOut(Out):
    """Caches that were emptied."""

    cleared: list[str]
    act: Annotated[int, Meta(description="number in the audit log")]


class ActOut(Out):
    """An act of an administrator."""

    id: int
    at: str
    actor: Annotated[str, Meta(description="the account's address; host:NAME for a command on the host")]
    actor_id: str | None
    action: str
    target: str
    result: str
    request_id: str


class AuditOut(Out):
    """A page of acts, the latest first."""

    acts: list[ActOut]
    page: int
    limit: int
    total: int
