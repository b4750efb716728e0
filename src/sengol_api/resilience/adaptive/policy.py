"""A bound on concurrent calls that finds itself: as many at once as the latency shows to be good."""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.adaptive.aimd import Aimd
from sengol_api.resilience.adaptive.algorithm import LimitAlgorithm
from sengol_api.resilience.adaptive.follower import Changed, Follower, is_overload
from sengol_api.resilience.adaptive.gradient2 import Gradient2
from sengol_api.resilience.adaptive.sample import Outcome, WindowOptions
from sengol_api.resilience.adaptive.vegas import Vegas
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.errors import Overloaded
from sengol_api.resilience.events import Event
from sengol_api.resilience.options import Allowed, above, between, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.priority import Priority, current_priority
from sengol_api.resilience.transient import ERRORS, ErrorTypes

_NAMED: dict[str, Callable[[], LimitAlgorithm[Any]]] = {"gradient2": Gradient2, "vegas": Vegas, "aimd": Aimd}
_ALGORITHM = Allowed(
    f"one of {', '.join(_NAMED)}, or an object with start and update",
    lambda value: value in _NAMED if isinstance(value, str) else isinstance(value, LimitAlgorithm) and not isinstance(value, type),
)
_NEAR = 0.9  # of the limit: who comes so close would use a higher one


@dataclass(frozen=True)
class AdaptiveLimit(PolicyOptions):
    """Lets as many calls run at once as the service can do without a queue, and refuses the rest at once.

    Of the limit, the last tenth is for critical calls, and batch calls get no more than seven tenths (always at least one): what
    is shed first under pressure is what matters least. To let calls wait for a place instead, give these options to an
    :class:`~sengol_api.resilience.Admission`.
    """

    kind: ClassVar[str] = "adaptive_limit"

    algorithm: str | LimitAlgorithm[Any] = option("gradient2", _ALGORITHM, "finds the limit")
    initial: int = option(20, whole(1, 1_000_000), "calls at once to begin with")
    min_limit: int = option(1, whole(1, 1_000_000), "lowest limit")
    max_limit: int = option(1000, whole(1, 1_000_000), "highest limit")
    window: float = option(0.5, above(0), "shortest time between two looks at the latency", "s")
    min_samples: int = option(20, whole(1), "fewest calls between two looks")
    dropped_share: float = option(0.01, between(0, 0.99), "share of dropped calls in a window that is not yet an overload")
    dropped_on: ErrorTypes = option(is_overload, ERRORS, "errors that speak of overload")
    ignored_on: ErrorTypes = option(Exception, ERRORS, "other errors that say nothing of load; the rest count as answers")
    interactive_share: float = option(0.9, between(0.01, 1), "share of the limit that calls may fill that are not critical")
    batch_share: float = option(0.7, between(0.01, 1), "share of the limit that batch calls may fill")

    def contradictions(self) -> Iterator[str]:
        """Bounds and shares are in order."""
        if self.min_limit > self.max_limit:
            yield f"min_limit={self.min_limit} is above max_limit={self.max_limit}, it must not be"
        elif not self.min_limit <= self.initial <= self.max_limit:
            yield f"initial={self.initial} is outside of min_limit={self.min_limit} to max_limit={self.max_limit}"
        if self.batch_share > self.interactive_share:
            yield f"batch_share={self.batch_share:g} is above interactive_share={self.interactive_share:g}, it must not be"

    def share(self, level: Priority, limit: int) -> int:
        """Calls at once up to which one of this priority is let in: at least one."""
        if level is Priority.CRITICAL:
            return limit
        share = self.interactive_share if level is Priority.INTERACTIVE else self.batch_share
        return math.ceil(share * limit - 1e-9)

    def follower(self, site: Site, changed: Changed) -> Follower:
        """The limit at work; ``changed`` is told of each change."""
        follower = Follower(self._finder(), self.initial, site.clock.now, changed)
        self.apply_to(follower)
        return follower

    def apply_to(self, follower: Follower) -> None:
        """Let a limit go on with these options."""
        follower.apply(
            self._finder(),
            self.min_limit,
            self.max_limit,
            WindowOptions(self.window, self.min_samples, self.dropped_share),
            self.dropped_on,
            self.ignored_on,
        )

    def _finder(self) -> LimitAlgorithm[Any]:
        return _NAMED[self.algorithm]() if isinstance(self.algorithm, str) else self.algorithm

    def build(self, site: Site) -> "AdaptiveLimitPolicy":
        """The policy with these options at ``site``."""
        return AdaptiveLimitPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanged(Event):
    """An adaptive limit changed.

    Attributes:
        previous: calls at once before.
        limit: calls at once now.
        latency: last known median latency, seconds; None before the first.
    """

    previous: int
    limit: int
    latency: float | None


@dataclass(frozen=True, slots=True)
class AdaptiveLimitSnapshot:
    """State and statistics of an adaptive limit.

    Attributes:
        limit: calls at once that it allows now.
        in_flight: calls that run now.
        latency: median latency of the last window, seconds; None before the first.
        rejected: calls that were refused, by their priority.
        dropped: calls that were lost to overload.
    """

    limit: int
    in_flight: int
    latency: float | None
    rejected: dict[str, int]
    dropped: int


class AdaptiveLimitPolicy(Policy[AdaptiveLimit]):
    """Holds a place for each call while it runs, and learns from how it ends.

    An answer counts with its time. A call that was cancelled, rejected further inside, or failed for reasons of its own gives its
    place back and counts as nothing. One that was lost to overload lowers the limit.
    """

    kind = "adaptive_limit"

    def __init__(self, options: AdaptiveLimit, site: Site) -> None:
        super().__init__(options, site)
        self._lock = threading.Lock()
        self._in_flight = 0
        self._rejected = {level: Counter() for level in Priority}
        self._dropped = Counter()
        self._follower = options.follower(site, self._changed)

    def _apply(self, options: AdaptiveLimit) -> None:
        options.apply_to(self._follower)

    def _changed(self, previous: int, limit: int, latency: float | None) -> None:
        self._emit(LimitChanged, previous=previous, limit=limit, latency=latency)

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        now = self.site.clock.now

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self._enter()
            outcome, started = Outcome.IGNORED, now()
            try:
                result = await inner(function, args, kwargs)
                outcome = Outcome.SUCCESS
            except Exception as error:
                outcome = self._follower.outcome_of(error, now() - started)
                raise
            finally:
                self._leave(outcome, started)
            return result

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        now = self.site.clock.now

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            self._enter()
            outcome, started = Outcome.IGNORED, now()
            try:
                result = inner(function, args, kwargs)
                outcome = Outcome.SUCCESS
            except Exception as error:
                outcome = self._follower.outcome_of(error, now() - started)
                raise
            finally:
                self._leave(outcome, started)
            return result

        return call

    def _enter(self) -> None:
        level = current_priority()
        follower = self._follower
        allowed = self._options.share(level, follower.limit)
        with self._lock:
            admitted = self._in_flight < allowed
            self._in_flight += admitted
            if self._in_flight >= _NEAR * allowed:
                follower.reached(refused=not admitted)
        if not admitted:
            self._rejected[level].add()
            reason = f"found {allowed} calls running, as many as one of priority {level.name.lower()} may find"
            raise self._refused(Overloaded(self.site.pipeline, self.site.policy, follower.retry_after, reason))

    def _leave(self, outcome: Outcome, started: float) -> None:
        with self._lock:
            self._in_flight -= 1
        if outcome is Outcome.DROPPED:
            self._dropped.add()
        self._follower.ended(outcome, self.site.clock.now() - started)

    def snapshot(self) -> AdaptiveLimitSnapshot:
        """State and statistics now."""
        return AdaptiveLimitSnapshot(
            limit=self._follower.limit,
            in_flight=self._in_flight,
            latency=self._follower.latency,
            rejected={level.name.lower(): counter.value for level, counter in self._rejected.items()},
            dropped=self._dropped.value,
        )
