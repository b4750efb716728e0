"""Health: what every dependency says of itself, asked at once, each in its own short time; and whether this replica may serve."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from sengol_api.resilience import AdaptiveTimeout, Cache, CircuitOpen, CircuitState, Pipeline, Registry, Rejected
from sengol_api.resilience.adaptive_timeout import AdaptiveTimeoutSnapshot
from sengol_api.resilience.breaker.states import CircuitBreakerSnapshot
from sengol_api.resilience.cache.states import CacheSnapshot
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock

Status: TypeAlias = Literal["ok", "degraded", "down"]
SHARED_FOR: Final = 1.0
"""Seconds for which a result serves all who ask: an open route must not let strangers ask a database as often as they like."""
MOST_UNENDED: Final = 3
"""Checks of one dependency that were cancelled and have not ended; with so many, no further one is begun."""
_PASSING: Final = frozenset({CircuitState.CLOSED, CircuitState.DISABLED})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Something that the service calls.

    Attributes:
        name: as in READINESS_REQUIRES and in the answer.
        check: asks it whether it is there; whatever it returns is fine, whatever it raises is not. It goes past retries and
            breakers, so that it says how the dependency is now.
        timeout: seconds that the check may take.
        pipeline: whose circuit breaker guards it, if one does.
        stats: further facts for the answer, as JSON; seen by strangers, so without hosts, keys or texts.
    """

    name: str
    check: Callable[[], Awaitable[object]]
    timeout: float = 1.0
    pipeline: str | None = None
    stats: Callable[[], Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """What a dependency said.

    Attributes:
        status: ``degraded`` when it answers but its breaker lets calls not through freely.
        seconds: that the answer took.
        reason: why it is not ok, without anything that a stranger may not know.
        breaker: of its pipeline.
        stats: its own facts.
        limit: of the time of its calls, where it follows their latency.
    """

    status: Status
    seconds: float
    reason: str | None = None
    breaker: CircuitBreakerSnapshot | None = None
    stats: Mapping[str, Any] | None = None
    limit: AdaptiveTimeoutSnapshot | None = None


@dataclass(frozen=True, slots=True)
class CacheView:
    """A cache as it stands, with its bounds."""

    snapshot: CacheSnapshot
    max_entries: int
    max_bytes: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """The state of all that this replica needs.

    Attributes:
        status: ``down`` without something that is required; ``degraded`` when anything else is not as it should be.
        seconds: that it took to find out.
    """

    status: Status
    checks: Mapping[str, Check]
    caches: Mapping[str, CacheView]
    breakers: Mapping[str, CircuitBreakerSnapshot]
    seconds: float


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this replica should be sent requests.

    Attributes:
        reason: why not; None when it should.
        checks: of what is required.
    """

    reason: str | None
    checks: Mapping[str, Check] = field(default_factory=dict)


class Health:
    """Looks after the dependencies of one process.

    Args:
        dependencies: what is called.
        registry: of the pipelines, in which breakers and caches are found.
        required: names of dependencies without which this replica cannot serve.
        closed: why this replica takes no requests now, whatever its dependencies say; None when it does.
        clock: of the times.

    Raises:
        ValueError: two dependencies of one name, or a required one that is not there.
    """

    def __init__(
        self,
        dependencies: Iterable[Dependency],
        registry: Registry,
        *,
        required: Collection[str] = (),
        closed: Callable[[], str | None] = lambda: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        given = list(dependencies)
        self.dependencies: Mapping[str, Dependency] = {each.name: each for each in given}
        if len(self.dependencies) < len(given):
            raise ValueError("two dependencies have the same name")
        if unknown := sorted(set(required) - self.dependencies.keys()):
            raise ValueError(f"{', '.join(unknown)}: no such dependency; there are {', '.join(self.dependencies) or 'none'}")
        self.required = frozenset(required)
        self._registry = registry
        self._closed = closed
        self._clock = clock
        self._unended: dict[str, set[asyncio.Task[object]]] = {name: set() for name in self.dependencies}
        self._known_down: dict[str, bool] = {}
        # Immutable results, so nothing is copied; callers who come at once wait for one and the same.
        shared = Cache(ttl=SHARED_FOR, max_entries=len(given) + 1, key=lambda *key: key, copy=lambda value: value)
        self._shared = Pipeline("health", shared, clock=clock)

    async def report(self) -> Report:
        """The state of everything; who asks again within a second is told the same."""
        report: Report = await self._shared.call(self._report)
        return report

    async def readiness(self) -> Readiness:
        """Whether this replica should be sent requests: what is required is asked, at most once a second."""
        if reason := self._closed():
            return Readiness(reason)
        names = sorted(self.required)
        checks = dict(zip(names, await asyncio.gather(*map(self._check, names)), strict=True))
        away = [name for name, check in checks.items() if check.status == "down"]
        # Asked once more: the drain may have begun while a dependency kept its answer waiting.
        return Readiness(self._closed() or (f"without {', '.join(away)}" if away else None), checks)

    def breakers(self) -> dict[str, CircuitBreakerSnapshot]:
        """Every circuit breaker, by the name of its pipeline."""
        return {name: breaker.snapshot() for name, breaker in sorted(self._registry.breakers().items())}

    def caches(self) -> dict[str, CacheView]:
        """Every cache, by the name of its pipeline."""
        found = sorted(self._registry.policies(Cache.kind).items())
        return {name: CacheView(cache.snapshot(), cache.options.max_entries, cache.options.max_bytes) for name, (cache,) in found}

    async def _report(self) -> Report:
        started = self._clock.now()
        names = list(self.dependencies)
        checks = dict(zip(names, await asyncio.gather(*map(self._check, names)), strict=True))
        breakers = self.breakers()
        return Report(self._overall(checks, breakers), checks, self.caches(), breakers, self._clock.now() - started)

    def _overall(self, checks: Mapping[str, Check], breakers: Mapping[str, CircuitBreakerSnapshot]) -> Status:
        if any(checks[name].status == "down" for name in self.required):
            return "down"
        well = all(check.status == "ok" for check in checks.values()) and all(b.state in _PASSING for b in breakers.values())
        return "ok" if well else "degraded"

    async def _check(self, name: str) -> Check:
        check: Check = await self._shared.call(self._ask, name)
        return check

    async def _ask(self, name: str) -> Check:
        dependency = self.dependencies[name]
        started = self._clock.now()
        reason, error = await self._reason_down(dependency)
        seconds = self._clock.now() - started
        self._log_change(name, reason, error)
        breaker = self._breaker_of(dependency)
        status: Status = "down" if reason else "ok"
        if status == "ok" and breaker is not None and breaker.state not in _PASSING:
            status, reason = "degraded", f"its circuit breaker is {breaker.state}"
        return Check(status, seconds, reason, breaker, _stats_of(dependency), self._limit_of(dependency))

    async def _reason_down(self, dependency: Dependency) -> tuple[str | None, BaseException | None]:
        """Why it does not answer, in words for strangers (None when it does), and the error for the log."""
        unended = self._unended[dependency.name]
        if len(unended) >= MOST_UNENDED:
            return "earlier checks have not ended", None
        # A task that is left behind when its time is over, rather than a timeout around it: what a driver does to clean up after a
        # cancellation may take as long as the dependency is frozen.
        task = asyncio.get_running_loop().create_task(_called(dependency), name=f"check {dependency.name}", context=Context())
        unended.add(task)
        task.add_done_callback(unended.discard)
        task.add_done_callback(_consumed)
        try:
            await asyncio.wait({task}, timeout=dependency.timeout)
        finally:
            late = task.cancel()
        if late:
            return f"no answer within {dependency.timeout * 1000:.0f} ms", None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        return (None, None) if error is None else (_in_words(error), error)

    def _log_change(self, name: str, reason: str | None, error: BaseException | None) -> None:
        """A line when a dependency goes and when it comes back, not one a check."""
        before, self._known_down[name] = self._known_down.get(name, False), reason is not None
        if reason is not None and not before:
            _log.warning("a dependency is down", exc_info=error, extra={"dependency": name, "reason": reason})
        elif reason is None and before:
            _log.info("a dependency is back", extra={"dependency": name})

    def _breaker_of(self, dependency: Dependency) -> CircuitBreakerSnapshot | None:
        if dependency.pipeline is None or dependency.pipeline not in self._registry:
            return None
        breaker = self._registry.breakers().get(dependency.pipeline)
        return None if breaker is None else breaker.snapshot()

    def _limit_of(self, dependency: Dependency) -> AdaptiveTimeoutSnapshot | None:
        found = self._registry.policies(AdaptiveTimeout.kind).get(dependency.pipeline or "", ())
        return next((policy.snapshot() for policy in found), None)


async def _called(dependency: Dependency) -> object:
    return await dependency.check()


def _consumed(task: asyncio.Task[object]) -> None:
    if not task.cancelled():
        task.exception()


def _in_words(error: BaseException) -> str:
    """What went wrong, by its kind alone: texts of errors name hosts, users and statements."""
    if isinstance(error, CircuitOpen):
        return "its circuit breaker is open"
    if isinstance(error, Rejected):
        return "the check was refused by a policy"
    return f"failed with {type(error.__cause__ or error).__name__}"


def _stats_of(dependency: Dependency) -> Mapping[str, Any] | None:
    if dependency.stats is None:
        return None
    try:
        return dict(dependency.stats())
    except Exception:  # noqa: BLE001 - facts beside the answer must not cost the answer
        _log.exception("statistics of a dependency cannot be had", extra={"dependency": dependency.name})
        return None
