"""Who is let in, who waits, and who is turned away, when there is more work than can be done."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.adaptive.follower import Follower
from sengol_api.resilience.adaptive.policy import AdaptiveLimit, LimitChanged
from sengol_api.resilience.adaptive.sample import Outcome
from sengol_api.resilience.admission.codel import ControlledDelay
from sengol_api.resilience.admission.line import Line, Turned
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import time_left
from sengol_api.resilience.errors import Overloaded, Rejected
from sengol_api.resilience.events import Event
from sengol_api.resilience.options import Allowed, above, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.priority import Priority, current_priority

_PLACES = Allowed(
    "a whole number of at least 1, or an AdaptiveLimit", lambda value: isinstance(value, AdaptiveLimit) or whole(1).accepts(value)
)


@dataclass(frozen=True)
class Admission(PolicyOptions):
    """Lets ``max_concurrent`` calls in at once; the others wait in a bounded line, by their priority, and not for long.

    A line that has not been empty for ``interval`` shows an overload: then nobody waits longer than ``target_delay``, the newest
    goes first, and the rest is turned away early. What matters least goes first in that, but never for ever: a class that waits
    gets at least every 17th place. Of an :class:`~sengol_api.resilience.AdaptiveLimit` everything counts but its shares: the line
    does their work.
    """

    kind: ClassVar[str] = "admission"

    max_concurrent: int | AdaptiveLimit = option(64, _PLACES, "calls at once; an AdaptiveLimit finds the number itself")
    max_queue: int = option(256, whole(0), "calls that may wait for a place")
    target_delay: float = option(0.1, above(0), "longest wait under overload", "s")
    interval: float = option(1.0, above(0), "time without an empty line that makes an overload; the longest wait before", "s")

    def contradictions(self) -> Iterator[str]:
        """Under overload the wait is shorter, not longer."""
        if self.target_delay > self.interval:
            yield f"target_delay={self.target_delay:g} is above interval={self.interval:g}, it must not be"

    def build(self, site: Site) -> "AdmissionPolicy":
        """The policy with these options at ``site``."""
        return AdmissionPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadBegan(Event):
    """The line before an admission has not been empty for an interval: waits are short from now on, the newest goes first.

    Attributes:
        queued: calls in line.
    """

    queued: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OverloadEnded(Event):
    """The line before an admission is a standing one no more."""


@dataclass(frozen=True, slots=True)
class AdmissionSnapshot:
    """State and statistics of an admission.

    Attributes:
        limit: calls at once.
        in_flight: calls that run now.
        queued: calls that wait now, by priority.
        overloaded: whether the line has not been empty for an interval.
        rejected: calls that were turned away, by priority.
        reasons: the same, by reason: the line was ``full``, or ``crowded`` when they were shed; they were ``displaced`` by a higher
            class or ``overtaken`` by too many newer ones, ``waited`` as long as one may, or their ``deadline`` could not be met.
    """

    limit: int
    in_flight: int
    queued: dict[str, int]
    overloaded: bool
    rejected: dict[str, int]
    reasons: dict[str, int]


_WHY = {
    "full": "found the line full",
    "crowded": "was shed before anything was done for it: more wait already than get their turn in time",
    "displaced": "gave its place in line to one of a class that has more need of it",
    "overtaken": "stood in a long line behind more newer ones than would get their turn before its time was over",
    "waited": "waited in line as long as one may",
    "deadline": "could not get its turn before its deadline",
}


class AdmissionPolicy(Policy[Admission]):
    """Holds a place for each call while it runs, and lets calls wait for one by their priority."""

    kind = "admission"

    def __init__(self, options: Admission, site: Site) -> None:
        super().__init__(options, site)
        self._rejected = {level: Counter() for level in Priority}
        self._reasons = {why: Counter() for why in _WHY}
        self._telling = threading.Lock()
        self._overloaded = False
        self._follower: Follower | None = None
        control = ControlledDelay(options.target_delay, options.interval)
        self._line = Line(self._limit(options), options.max_queue, control, site.clock.now)

    def _limit(self, options: Admission) -> int:
        if not isinstance(options.max_concurrent, AdaptiveLimit):
            self._follower = None
            return options.max_concurrent
        if self._follower is None:
            self._follower = options.max_concurrent.follower(self.site, self._changed)
        else:
            options.max_concurrent.apply_to(self._follower)
        return self._follower.limit

    def _apply(self, options: Admission) -> None:
        self._line.resize(self._limit(options), options.max_queue, options.target_delay, options.interval)

    def _changed(self, previous: int, limit: int, latency: float | None) -> None:
        self._line.resize(limit)
        self._emit(LimitChanged, previous=previous, limit=limit, latency=latency)

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        line, now = self._line, self.site.clock.now

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            follower = self._follower
            if not line.enter():
                level, left = current_priority(), time_left(self.site.pipeline, self.site.policy)
                self._watch()
                try:
                    await line.wait(level, left)
                except Turned as turned:
                    raise self._turned_away(level, turned) from None
            outcome, started = Outcome.IGNORED, now()
            try:
                result = await inner(function, args, kwargs)
                outcome = Outcome.SUCCESS
            except Exception as error:
                if follower is not None:
                    outcome = follower.outcome_of(error, now() - started)
                raise
            finally:
                self._leave(follower, outcome, started)
            return result

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        line, now = self._line, self.site.clock.now

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            follower = self._follower
            if not line.enter():
                level, left = current_priority(), time_left(self.site.pipeline, self.site.policy)
                self._watch()
                try:
                    line.wait_sync(level, left, self.site.clock)
                except Turned as turned:
                    raise self._turned_away(level, turned) from None
            outcome, started = Outcome.IGNORED, now()
            try:
                result = inner(function, args, kwargs)
                outcome = Outcome.SUCCESS
            except Exception as error:
                if follower is not None:
                    outcome = follower.outcome_of(error, now() - started)
                raise
            finally:
                self._leave(follower, outcome, started)
            return result

        return call

    @property
    def overloaded(self) -> bool:
        """Whether the line has not been empty for an interval."""
        return self._line.standing

    def crowded(self, level: Priority, *, yields: bool = False) -> bool:
        """Whether one more call had better be turned away before anything is done for it.

        Under overload most calls are turned away, and what they have cost by the time they stand in line adds up. Who asks here as
        soon as he knows a call's class, and then calls :meth:`shed`, loses next to nothing. It takes no place: a call for which
        there is room may still be turned away.

        Args:
            level: class of the call.
            yields: whether it gives way to everybody: then it is crowded where no place is free.

        Returns:
            whether, under overload, more of its class or above wait than get their turn within ``target_delay``, so that it could
            only have another one's turn.
        """
        return not self._line.free if yields else self._line.crowded(level)

    def shed(self, level: Priority) -> Rejected:
        """Turn away a call that found it crowded.

        Args:
            level: class of the call.

        Returns:
            what to tell its caller; it counts as turned away now.
        """
        return self._turned_away(level, self._line.shed(level))

    def _leave(self, follower: Follower | None, outcome: Outcome, started: float) -> None:
        line = self._line
        if follower is not None and follower is self._follower:  # not one of earlier options
            if line.running >= line.limit:
                follower.reached(refused=False)
            follower.ended(outcome, self.site.clock.now() - started)
        line.release()
        if self._overloaded:
            self._watch()

    def _turned_away(self, level: Priority, turned: Turned) -> Rejected:
        self._rejected[level].add()
        self._reasons[turned.why].add()
        self._watch()
        wait = self._options.interval if turned.retry_after is None else turned.retry_after
        return self._refused(Overloaded(self.site.pipeline, self.site.policy, wait, _WHY[turned.why]))

    def _watch(self) -> None:
        """Tell when an overload begins and when it ends."""
        standing = self._line.standing
        with self._telling:
            changed, self._overloaded = standing != self._overloaded, standing
        if changed and standing:
            self._emit(OverloadBegan, queued=self._line.waiting)
        elif changed:
            self._emit(OverloadEnded)

    def snapshot(self) -> AdmissionSnapshot:
        """State and statistics now."""
        return AdmissionSnapshot(
            limit=self._line.limit,
            in_flight=self._line.running,
            queued={level.name.lower(): number for level, number in self._line.queued().items()},
            overloaded=self._line.standing,
            rejected={level.name.lower(): counter.value for level, counter in self._rejected.items()},
            reasons={why: counter.value for why, counter in self._reasons.items()},
        )
