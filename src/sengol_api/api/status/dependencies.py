"""What the service calls: as its health sees it, as its calls went, and what its circuit breaker went through."""

from collections.abc import Iterator, Sequence
from typing import Final

from sengol_api.api.ops_present import milliseconds
from sengol_api.api.status.breakers import breaker
from sengol_api.api.wire.status import CallsOut, DependencyOut
from sengol_api.observability.metrics.model import Labels
from sengol_api.ops.status.host import Check, Seen
from sengol_api.ops.status.timeline import MINUTE, Window

ATTEMPTS: Final = "sengol_pipeline_attempts_total"
SECONDS: Final = "sengol_pipeline_attempt_duration_seconds"
SLOW: Final = 0.95
_FAILED: Final = ("error", "timeout")
_DONE: Final = ("success", "cancelled", *_FAILED)
_GRAVEST_FIRST: Final = ("down", "degraded", "ok")


def dependencies(seen: Seen) -> list[DependencyOut]:
    """Those that health knows, in its order; after them the circuit breakers that guard none of these."""
    checks = dict(_checks(seen))
    guarded = {check.pipeline for check in checks.values()}
    others = sorted({name for worker in seen.answered for name in worker.breakers} - guarded)
    found = [_dependency(seen, name, check) for name, check in checks.items()]
    return [*found, *(_dependency(seen, name, None) for name in others)]


def _checks(seen: Seen) -> Iterator[tuple[str, Check]]:
    """What the workers heard of each dependency: of several the gravest, and of those the slowest."""
    for name in dict.fromkeys(name for worker in seen.answered for name in worker.checks):
        heard = [worker.checks[name] for worker in seen.answered if name in worker.checks]
        yield name, min(heard, key=lambda check: (_GRAVEST_FIRST.index(check.status), -check.seconds))


def _dependency(seen: Seen, name: str, check: Check | None) -> DependencyOut:
    pipeline = name if check is None else check.pipeline
    times = seen.check_times.get(name)
    return DependencyOut(
        name=name,
        pipeline=pipeline,
        status=None if check is None else check.status,
        reason=None if check is None else check.reason,
        required=check is not None and check.required,
        response_time=None if check is None else milliseconds(check.seconds),
        checks=None if times is None else [in_ms(each) for each in times],
        breaker=None if pipeline is None else breaker(seen, pipeline),
        calls=None if pipeline is None else _calls(seen.window, pipeline),
    )


def _calls(window: Window, pipeline: str) -> CallsOut:
    all_of_it: Sequence[Labels] = [(pipeline,)]
    done = window.series(ATTEMPTS, [(pipeline, outcome) for outcome in _DONE])
    failed = window.series(ATTEMPTS, [(pipeline, outcome) for outcome in _FAILED])
    minute = window.last(MINUTE)
    return CallsOut(
        attempts=done,
        failed=shares(failed, done),
        slow=[in_ms(each) for each in window.quantiles(SECONDS, SLOW, all_of_it)],
        recent=round(total(done)),
        failed_recent=round(total(failed)),
        median=in_ms(minute.quantile(SECONDS, 0.5, all_of_it)),
        slow_now=in_ms(minute.quantile(SECONDS, SLOW, all_of_it)),
    )


def total(series: Sequence[float | None]) -> float:
    """All of a series together."""
    return sum(each or 0.0 for each in series)


def shares(parts: Sequence[float | None], wholes: Sequence[float | None]) -> list[float | None]:
    """The share of one series in another with each step; None where there was nothing to share."""
    return [None if part is None or not whole else round(part / whole, 4) for part, whole in zip(parts, wholes, strict=True)]


def in_ms(seconds: float | None) -> float | None:
    """Seconds as milliseconds, to a tenth; None stays None."""
    return None if seconds is None else milliseconds(seconds)
