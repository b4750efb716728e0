"""Time limit of one attempt."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.attempt import bounded, shorter
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import remaining
from sengol_api.resilience.events import Event
from sengol_api.resilience.options import above, option
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall


@dataclass(frozen=True)
class Timeout(PolicyOptions):
    """Cuts an attempt that takes longer than ``seconds``, or than the caller's deadline leaves."""

    kind: ClassVar[str] = "timeout"

    seconds: float = option(30.0, above(0), "how long one attempt may take", "s")

    def build(self, site: Site) -> "TimeoutPolicy":
        """The policy with these options at ``site``."""
        return TimeoutPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTimedOut(Event):
    """An attempt was cut.

    Attributes:
        limit: seconds that it had.
        by_deadline: the caller's deadline ended, not the policy's own limit.
    """

    limit: float
    by_deadline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLate(Event):
    """A plain function answered after its limit; nothing could cut it, and its result was used.

    Attributes:
        limit: seconds that it had.
        took: seconds that it took.
    """

    limit: float
    took: float


@dataclass(frozen=True, slots=True)
class TimeoutSnapshot:
    """State and statistics of a timeout.

    Attributes:
        limit: seconds that an attempt has now.
        timed_out: attempts that were cut.
        late: plain functions that answered after their limit.
    """

    limit: float
    timed_out: int
    late: int


class TimeoutPolicy(Policy[Timeout]):
    """Cancels the work when its time is over, and raises :class:`~sengol_api.resilience.errors.TimedOut`.

    A cancellation from outside, or a :class:`TimeoutError` of the work itself, passes through as it is. A plain function cannot
    be cut: it runs to its end, and what it gives is used and counted as late; give it :func:`~sengol_api.resilience.remaining`
    for its socket.
    """

    kind = "timeout"
    keeps_deadline = True
    of_attempt = True
    per_call = frozenset({"seconds"})

    def __init__(self, options: Timeout, site: Site) -> None:
        super().__init__(options, site)
        self.limit = options.seconds
        self._timed_out = Counter()
        self._late = Counter()

    def _apply(self, options: Timeout) -> None:
        self.limit = options.seconds

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        return bounded(inner, self, self.site)

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        now = self.site.clock.now

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            limit = self.limit
            left = remaining()
            if left is not None:
                limit, _ = shorter(limit, left, self.site)
            started = now()
            result = inner(function, args, kwargs)
            took = now() - started
            if took > limit:
                self._late.add()
                self._emit(AttemptLate, limit=limit, took=took)
            return result

        return call

    def cut(self, limit: float, *, by_deadline: bool) -> None:
        """An attempt that had ``limit`` seconds was cut."""
        self._timed_out.add()
        self._emit(AttemptTimedOut, limit=limit, by_deadline=by_deadline)

    def snapshot(self) -> TimeoutSnapshot:
        """State and statistics now."""
        return TimeoutSnapshot(limit=self.limit, timed_out=self._timed_out.value, late=self._late.value)
