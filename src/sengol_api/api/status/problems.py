"""What is not as it should be, in words, the gravest first: what who is on call reads before anything else."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from sengol_api.api.wire.status import DependencyOut, LimitOut, PlacesOut, ProblemOut, ServiceOut
from sengol_api.ops.status.host import Seen

Overall = Literal["ok", "degraded", "down", "unknown"]
Severity = Literal["down", "degraded", "warning"]
_PASSING: Final = frozenset({"CLOSED", "DISABLED"})
_IN_WORDS: Final = {
    "OPEN": "its circuit breaker is open: no call is made",
    "ISOLATED": "its circuit breaker is isolated by an administrator: no call is made until it is enabled or reset",
    "HALF_OPEN": "its circuit breaker is half-open: single calls find out whether it is well again",
}
LONG_LAG: Final = 0.5
"""Seconds that an event loop may stand still."""
FEW_FAILED: Final = 0.01
"""Share of requests that may fail."""
FAILS_ON: Final = 3
"""Failures in a row after which background work is shown."""


def overall(seen: Seen) -> Overall:
    """As ``/health/detailed`` says it, for all workers: down when no worker can serve, ok when all is well in every one."""
    known = [worker.status for worker in seen.answered if worker.status is not None]
    if not known:
        return "unknown"
    if all(status == "down" for status in known):
        return "down"
    stuck = any(worker.state in {"silent", "failed"} for worker in seen.workers)
    return "degraded" if stuck or any(status != "ok" for status in known) else "ok"


def problems(
    seen: Seen,
    service: ServiceOut,
    dependencies: Sequence[DependencyOut],
    places: Sequence[PlacesOut],
    limits: Sequence[LimitOut],
) -> list[ProblemOut]:
    """All that is known."""
    found = [
        *_of_dependencies(seen, dependencies),
        *_of_workers(seen),
        *_of_requests(service),
        *_of_places(places),
        *_of_stores(seen, limits),
        *_of_background(seen),
    ]
    order = ("down", "degraded", "warning")
    return sorted(found, key=lambda problem: order.index(problem.severity))


def _share(count: int, seen: Seen) -> str:
    """In how many workers, unless there is but one."""
    total = len(seen.answered)
    return "" if total < 2 or count == total else f" (in {count} of {total} workers)"


def _of_dependencies(seen: Seen, dependencies: Sequence[DependencyOut]) -> Iterator[ProblemOut]:
    for each in dependencies:
        words = [*_away(seen, each), *_guarded(seen, each)]
        if words:
            severity: Severity = "down" if each.status == "down" and each.required else "degraded"
            yield ProblemOut(severity=severity, about=each.name, text="; ".join(words))
        elif each.breaker is not None and each.breaker.state == "DISABLED":
            yield ProblemOut(severity="warning", about=each.name, text="its circuit breaker is disabled: it watches nothing")


def _away(seen: Seen, dependency: DependencyOut) -> Iterator[str]:
    if dependency.status == "down":
        name = dependency.name
        away = sum(worker.checks[name].status == "down" for worker in seen.answered if name in worker.checks)
        needed = ", and no request can be served without it" if dependency.required else ""
        yield f"is down: {dependency.reason}{_share(away, seen)}{needed}"


def _guarded(seen: Seen, dependency: DependencyOut) -> Iterator[str]:
    breaker = dependency.breaker
    if breaker is not None and breaker.state not in _PASSING:
        count = sum(number for state, number in breaker.states.items() if state not in _PASSING)
        yield f"{_IN_WORDS[breaker.state]}{_share(count, seen)}"


def _of_workers(seen: Seen) -> Iterator[ProblemOut]:
    for worker in seen.workers:
        about = f"worker {worker.place}"
        if worker.state == "silent":
            yield ProblemOut(severity="degraded", about=about, text="does not answer: its event loop stands still")
        elif worker.state == "failed":
            yield ProblemOut(severity="degraded", about=about, text="could not say how it is; its log says why")
        elif worker.state == "gone":
            yield ProblemOut(severity="warning", about=about, text="has ended, and no other has taken its place yet")
        elif worker.phase != "serving":
            yield ProblemOut(severity="warning", about=about, text=f"is coming to its end ({worker.phase})")
        if worker.lag > LONG_LAG:
            text = f"its event loop stood still for {worker.lag * 1000:.0f} ms within the last minute"
            yield ProblemOut(severity="warning", about=about, text=text)


def _of_requests(service: ServiceOut) -> Iterator[ProblemOut]:
    if service.failed_share is not None and service.failed_share >= FEW_FAILED:
        text = f"{service.failed_share:.1%} failed within the last minute"
        yield ProblemOut(severity="warning", about="requests", text=text)


def _of_places(places: Sequence[PlacesOut]) -> Iterator[ProblemOut]:
    for each in places:
        if each.overloaded:
            yield ProblemOut(
                severity="warning", about=each.name, text=f"is overloaded: {each.queued} wait, what is too much is refused"
            )


def _of_stores(seen: Seen, limits: Sequence[LimitOut]) -> Iterator[ProblemOut]:
    alone = [each.name for each in limits if each.store == "away"]
    if alone:
        text = f"the shared store is away, each process counts by itself: {', '.join(alone)}"
        yield ProblemOut(severity="warning", about="rate limits", text=text)
    tiers = sorted(labels[0] for labels, away in seen.samples.get("sengol_cache_tier_away", {}).items() if away)
    if tiers:
        text = f"the shared tier is away; without it: {', '.join(tiers)}"
        yield ProblemOut(severity="warning", about="caches", text=text)
    spoilt = sorted(labels[0] for labels, on in seen.samples.get("sengol_chaos_enabled", {}).items() if on)
    if spoilt:
        yield ProblemOut(severity="warning", about="chaos", text=f"calls are spoilt on purpose: {', '.join(spoilt)}")


def _of_background(seen: Seen) -> Iterator[ProblemOut]:
    names = sorted({name for worker in seen.answered for name in worker.background})
    for name in names:
        failing = [
            work for worker in seen.answered if (work := worker.background.get(name)) is not None and work.failures >= FAILS_ON
        ]
        if failing:
            worst = max(failing, key=lambda work: work.failures)
            text = f"fails, and is started again: {worst.failures} times in a row, the last time with {worst.error}"
            yield ProblemOut(severity="warning", about=name, text=text + _share(len(failing), seen))
