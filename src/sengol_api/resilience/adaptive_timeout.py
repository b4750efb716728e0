"""Time limit of one attempt that follows the latency of the service."""

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.attempt import bounded
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import time_left
from sengol_api.resilience.events import Event
from sengol_api.resilience.options import above, between, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.quantile import RELATIVE_ERROR, LatencyQuantiles, ObservedQuantile
from sengol_api.resilience.timeout import AttemptLate, AttemptTimedOut

_CENSORED = 2.0
_WORTH_TELLING = 0.2


@dataclass(frozen=True)
class AdaptiveTimeout(PolicyOptions):
    """Cuts an attempt that takes longer than twice the 95th percentile of the last minute, or than the deadline leaves."""

    kind: ClassVar[str] = "adaptive_timeout"

    quantile: float = option(0.95, between(0.5, 0.999), "share of the answers that the limit is taken from")
    factor: float = option(2.0, between(1.1, 100), "the limit is the quantile times this")
    min_timeout: float = option(0.1, above(0), "shortest limit", "s")
    max_timeout: float = option(30.0, above(0), "longest limit", "s")
    initial: float | None = option(None, above(0).or_none(), "limit while too little is known; None: the longest", "s")
    window: float = option(60.0, above(0), "time after which an answer is forgotten", "s")
    min_samples: int = option(20, whole(1), "answers in the window below which too little is known")

    def contradictions(self) -> Iterator[str]:
        """The limits are in order."""
        if self.min_timeout > self.max_timeout:
            yield f"min_timeout={self.min_timeout!r} is above max_timeout={self.max_timeout!r}, it must not be"
        elif self.initial is not None and not self.min_timeout <= self.initial <= self.max_timeout:
            yield (
                f"initial={self.initial!r} is not between min_timeout={self.min_timeout!r} and "
                f"max_timeout={self.max_timeout!r}, it must be"
            )

    def up_to(self, seconds: float) -> "AdaptiveTimeout":
        """The same with another longest limit, which ``initial`` does not exceed, and which leaves room to be shorter: half of it.

        Raises:
            OptionsError: ``seconds`` is no finite number above 0.
        """
        initial = None if self.initial is None else min(self.initial, seconds)
        return self.changed(max_timeout=seconds, min_timeout=min(self.min_timeout, seconds / 2), initial=initial)

    def limit_after(self, observed: float | None) -> float:
        """Seconds that an attempt gets, given the observed quantile."""
        if observed is None:
            return self.max_timeout if self.initial is None else self.initial
        return min(max(observed * self.factor, self.min_timeout), self.max_timeout)

    def build(self, site: Site) -> "AdaptiveTimeoutPolicy":
        """The policy with these options at ``site``."""
        return AdaptiveTimeoutPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitMoved(Event):
    """The limit has moved by more than a fifth since the last of these events.

    Attributes:
        before: seconds that an attempt had then.
        limit: seconds that it has now.
        observed: the quantile of the latency in seconds; None when too little is known.
    """

    before: float
    limit: float
    observed: float | None


@dataclass(frozen=True, slots=True)
class AdaptiveTimeoutSnapshot:
    """State and statistics of an adaptive timeout.

    Attributes:
        limit: seconds that an attempt has now.
        observed: the quantile of the latency in seconds; None when too little is known.
        samples: answers, and attempts that were cut, that it is taken from.
        timed_out: attempts that were cut.
        late: plain functions that answered after their limit.
    """

    limit: float
    observed: float | None
    samples: int
    timed_out: int
    late: int


class AdaptiveTimeoutPolicy(Policy[AdaptiveTimeout]):
    """Cancels the work when its time is over, as a timeout does, and takes that time from the answers of late.

    What it learns from:

    * an answer counts with the time that it took;
    * an attempt that was cut at the limit would have taken longer, nobody knows how much. It counts with twice the limit, as TCP
      doubles its timer (RFC 6298, 5.5). Were it left out, a service that has become slower would be cut for ever: only answers
      that are still fast would be seen. So when more than 5 % of the attempts are cut, the limit widens until they are not, or
      to its maximum: from outside, a service that hangs looks like one that is slow;
    * an attempt that the caller's deadline cut has only shown that an answer takes at least so long. Where that is more than
      the observed quantile, it counts with that time; where it is less it says nothing, and is left out: callers in a hurry do
      not make the service fast;
    * errors and cancellations are left out: failing fast is no speed.
    """

    kind = "adaptive_timeout"
    keeps_deadline = True
    of_attempt = True

    def __init__(self, options: AdaptiveTimeout, site: Site) -> None:
        super().__init__(options, site)
        self._lock = threading.Lock()
        self._now = site.clock.now
        self._timed_out = Counter()
        self._late = Counter()
        self._learn_with(options, LatencyQuantiles(options.window))
        self._basis: float | None = None
        self._limit = self._told = options.limit_after(None)

    def _learn_with(self, options: AdaptiveTimeout, latencies: LatencyQuantiles) -> None:
        self._observed = ObservedQuantile(latencies, options.quantile, options.min_samples, options.window)

    def _apply(self, options: AdaptiveTimeout) -> None:
        same = options.window == self._options.window
        self._learn_with(options, self._observed.latencies if same else LatencyQuantiles(options.window))

    def update(self, **changes: Any) -> None:
        """Change some options at run time. With another window, what was learnt is forgotten.

        Raises:
            OptionsError: the changed options make no sense; the old ones stay.
        """
        super().update(**changes)
        with self._lock:
            self._basis = math.nan  # equal to nothing: the limit is worked out anew

    @property
    def limit(self) -> float:
        """Seconds that an attempt has now."""
        observed = self._observed.current(self._now())
        return self._limit if observed == self._basis else self._move(observed)

    def _move(self, observed: float | None) -> float:
        with self._lock:
            limit, before = self._options.limit_after(observed), self._told
            self._basis, self._limit = observed, limit
            worth_telling = abs(limit - before) > _WORTH_TELLING * before
            if worth_telling:
                self._told = limit
        if worth_telling:
            self._emit(LimitMoved, before=before, limit=limit, observed=observed)
        return limit

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        attempt = bounded(inner, self, self.site)
        now = self._now

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            started = now()
            result = await attempt(function, args, kwargs)
            ended = now()
            self._observed.latencies.record(ended - started, ended)
            return result

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions: nothing can cut them, so they count with the time that they took."""
        now = self._now

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            left = time_left(self.site.pipeline, self.site.policy)
            limit = self.limit if left is None else min(self.limit, left)
            started = now()
            result = inner(function, args, kwargs)
            ended = now()
            took = ended - started
            self._observed.latencies.record(took, ended)
            if took > limit:
                self._late.add()
                self._emit(AttemptLate, limit=limit, took=took)
            return result

        return call

    def cut(self, limit: float, *, by_deadline: bool) -> None:
        """An attempt that had ``limit`` seconds was cut."""
        self._timed_out.add()
        now = self._now()
        if not by_deadline:
            self._observed.latencies.record(limit * _CENSORED, now)
        else:
            observed = self._observed.current(now)
            if observed is not None and limit >= observed * (1.0 - RELATIVE_ERROR):
                self._observed.latencies.record(limit, now)
        self._emit(AttemptTimedOut, limit=limit, by_deadline=by_deadline)

    def snapshot(self) -> AdaptiveTimeoutSnapshot:
        """State and statistics now."""
        now = self._now()
        return AdaptiveTimeoutSnapshot(
            limit=self.limit,
            observed=self._observed.current(now),
            samples=self._observed.latencies.samples(now),
            timed_out=self._timed_out.value,
            late=self._late.value,
        )
