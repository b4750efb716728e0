"""Options of the circuit breaker, and what follows from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sengol_api.resilience.breaker.windows import FailureTimes, LastCalls, Streak, Tally, TimeBuckets, Window
from sengol_api.resilience.options import FUNCTION, YES, YES_OR_NO, above, at_least, between, one_of, option, whole
from sengol_api.resilience.policy import PolicyOptions, Site
from sengol_api.resilience.transient import ERRORS, ErrorTypes, is_failure

if TYPE_CHECKING:
    from sengol_api.resilience.breaker.policy import CircuitBreakerPolicy


@dataclass(frozen=True)
class CircuitBreaker(PolicyOptions):
    """Opens after 5 failures within 120 s, probes after 60 s, and closes after 2 successes."""

    kind: ClassVar[str] = "circuit_breaker"

    failure_threshold: int = option(5, whole(1, 1_000_000), "failures that open it, with trip_on count or consecutive")
    success_threshold: int = option(2, whole(1), "successful probes that close it")
    reset_timeout: float = option(60.0, above(0), "time from opening to the first probe", "s")
    window: float = option(120.0, above(0), "time in which calls are counted, unless window_calls is given", "s")
    window_calls: int | None = option(
        None, whole(1, 1_000_000).or_none(), "count the last so many calls instead of those within a time"
    )
    trip_on: str = option(
        "count", one_of("count", "consecutive", "rate"), "what opens it: failures in the window, failures in a row, or their share"
    )
    failure_rate: float = option(0.5, between(0.001, 1), "share of failures that opens it, with trip_on rate")
    minimum_calls: int = option(20, whole(1), "calls below which no share is taken")
    slow_call: float | None = option(None, above(0).or_none(), "a call that takes longer is slow; None: none is", "s")
    slow_rate: float = option(0.5, between(0.001, 1), "share of slow calls that opens it, with slow_call")
    max_probes: int = option(2, whole(1), "probes that may be under way at once")
    probe_timeout: float = option(30.0, above(0), "time after which a probe counts as failed, and its slot is free", "s")
    reset_multiplier: float = option(1.0, at_least(1), "growth of the reset timeout with each opening that follows a failed probe")
    max_reset_timeout: float = option(600.0, above(0), "longest time open, whoever asks for it", "s")
    honour_retry_after: bool = option(YES, YES_OR_NO, "stay open as long as the error that opened it asks for, if that is longer")
    failure_on: ErrorTypes = option(is_failure, ERRORS, "errors that count as failures; all others show a healthy service")
    failure_on_result: Callable[[Any], bool] | None = option(None, FUNCTION.or_none(), "results that count as failures")

    def contradictions(self) -> Iterator[str]:
        """No threshold is above what its window can hold, and no time above its bound."""
        if self.window_calls is not None and self.trip_on == "count" and self.failure_threshold > self.window_calls:
            yield (
                f"failure_threshold={self.failure_threshold} is above window_calls={self.window_calls}: it could never open; "
                f"take at most {self.window_calls}"
            )
        rated = self.trip_on == "rate" or self.slow_call is not None
        if self.window_calls is not None and rated and self.minimum_calls > self.window_calls:
            yield (
                f"minimum_calls={self.minimum_calls} is above window_calls={self.window_calls}: it could never open; "
                f"take at most {self.window_calls}"
            )
        if self.trip_on == "consecutive" and self.slow_call is not None:
            yield "slow_call needs a window of calls, which trip_on='consecutive' has not; take 'count' or 'rate'"
        if self.reset_timeout > self.max_reset_timeout:
            yield f"reset_timeout={self.reset_timeout:g} is above max_reset_timeout={self.max_reset_timeout:g}, it must not be"

    def new_window(self) -> Window:
        """An empty window for what these options count."""
        if self.trip_on == "consecutive":
            return Streak()
        if self.window_calls is not None:
            return LastCalls(self.window_calls)
        if self.trip_on == "count" and self.slow_call is None:
            return FailureTimes(self.window, self.failure_threshold)
        return TimeBuckets(self.window)

    def reason_to_open(self, tally: Tally) -> str | None:
        """Why such a window opens the circuit, in words; None when it does not."""
        enough = tally.calls >= self.minimum_calls
        if self.trip_on == "rate":
            if enough and tally.failures >= self.failure_rate * tally.calls:
                return f"{tally.failures} of {tally.calls} calls failed"
        elif tally.failures >= self.failure_threshold:
            return "1 failure" if tally.failures == 1 else f"{tally.failures} failures"
        if enough and tally.slow >= self.slow_rate * tally.calls:
            return f"{tally.slow} of {tally.calls} calls were slow"
        return None

    def build(self, site: Site) -> "CircuitBreakerPolicy":
        """The policy with these options at ``site``."""
        from sengol_api.resilience.breaker.policy import CircuitBreakerPolicy

        return CircuitBreakerPolicy(self, site)
