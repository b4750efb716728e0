"""What the status page is told, every two seconds: the host at a moment, and its last five minutes in steps of five seconds.

In a series there is a number for each step, the oldest first, and null where nothing was noted. *Recent* counts are of these five
minutes.
"""

from typing import Literal

from sengol_api.api.wire.base import Out

Series = list[float | None]


class ProblemOut(Out):
    """Something that is not as it should be: ``down`` and ``degraded`` count for the state of the host, a ``warning`` does not."""

    severity: Literal["down", "degraded", "warning"]
    about: str
    text: str


class ServiceOut(Out):
    """Requests to the API, without health and pages: per second, share that failed (5xx), milliseconds; what is admitted now."""

    requests: Series
    failed: Series
    slow: Series
    per_second: float
    failed_share: float | None
    median: float | None
    slow_now: float | None
    in_flight: int


class SpanOut(Out):
    """A state from one second to another of the last five minutes."""

    start: float
    end: float
    state: str


class LaneOut(Out):
    """What the circuit breaker of one worker went through."""

    worker: int
    spans: list[SpanOut]


class ChangeOut(Out):
    """A change of a circuit breaker, and in which workers it came."""

    at: str
    previous: str
    state: str
    reason: str
    error: str | None
    workers: list[int]


class BreakerOut(Out):
    """A circuit breaker: the gravest of its states, in how many workers it has which, and its history, the latest first."""

    name: str
    state: str
    states: dict[str, int]
    since: str | None
    retry_after: float | None
    failures: int
    refused: int
    lanes: list[LaneOut]
    changes: list[ChangeOut]


class CallsOut(Out):
    """Attempts at the work itself: how many, the share that failed, and how long they took, in milliseconds."""

    attempts: Series
    failed: Series
    slow: Series
    recent: int
    failed_recent: int
    median: float | None
    slow_now: float | None


class DependencyOut(Out):
    """Something that the service calls."""

    name: str
    pipeline: str | None
    status: str | None
    reason: str | None
    required: bool
    response_time: float | None
    checks: Series | None
    breaker: BreakerOut | None
    calls: CallsOut | None


class CacheOut(Out):
    """A cache; the share of recent calls that needed none of their own is null when there was none."""

    name: str
    entries: int
    bytes: int
    hit_share: float | None
    hits: int
    stale: int
    coalesced: int
    misses: int
    tier: Literal["read", "away"] | None


class PlacesOut(Out):
    """What is let in at once, and what recently was not."""

    name: str
    limit: int
    in_flight: int
    queued: int
    overloaded: bool
    turned_away: int
    reasons: dict[str, int]


class RungOut(Out):
    """From what the answers of a dependency were made, recently and since the start."""

    dependency: str
    served: str
    recent: int
    total: int


class LimitOut(Out):
    """A rate limit; without a store each process counts by itself, and so it does while the store is away."""

    name: str
    allowed: int
    refused: int
    keys: int
    store: Literal["none", "shared", "away"]


class ModelOut(Out):
    """What a model took and gave, recently and since the start; no cost where its price is not known."""

    name: str
    input: int
    output: int
    cached: int
    input_total: int
    output_total: int
    cost: float | None
    cost_total: float | None


class WorkerOut(Out):
    """A worker of this server; lag in milliseconds."""

    place: int
    state: Literal["answered", "silent", "failed", "gone"]
    phase: str
    started_at: str | None
    lag: float | None
    status: str | None


class StatusOut(Out):
    """All of it."""

    at: str
    status: Literal["ok", "degraded", "down", "unknown"]
    version: str
    started_at: str | None
    step: float
    memory: float
    problems: list[ProblemOut]
    service: ServiceOut
    dependencies: list[DependencyOut]
    caches: list[CacheOut]
    places: list[PlacesOut]
    rungs: list[RungOut]
    limits: list[LimitOut]
    models: list[ModelOut]
    workers: list[WorkerOut]
