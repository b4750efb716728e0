"""Trying again, where that can help and costs the other side no more than it can bear."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from sengol_api.resilience.budget import Budget, RetryBudget
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.errors import Rejected
from sengol_api.resilience.events import Event, report
from sengol_api.resilience.history import given_up
from sengol_api.resilience.options import FUNCTION, above, at_least, instance, one_of, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.series import Series, passes_soon
from sengol_api.resilience.transient import ERRORS, ErrorTypes, is_transient


@dataclass(frozen=True)
class Retry(PolicyOptions):
    """Tries again after transient errors: 3 times, after about 1, 2 and 4 seconds, within a budget."""

    kind: ClassVar[str] = "retry"

    max_retries: int = option(3, whole(0), "attempts after the first one")
    initial_delay: float = option(1.0, at_least(0), "delay before the first retry, before jitter", "s")
    max_delay: float = option(
        10.0, above(0), "longest delay of our own; a rejection is waited out only if it asks for no more", "s"
    )
    multiplier: float = option(2.0, at_least(1), "growth of the delay from one retry to the next")
    jitter: str = option("full", one_of("none", "full", "equal", "proportional", "decorrelated"), "how chance changes a delay")
    retry_on: ErrorTypes = option(is_transient, ERRORS, "errors to try again after")
    retry_on_result: Callable[[Any], bool] | None = option(
        None, FUNCTION.or_none(), "results to try again after; the last is returned"
    )
    budget: RetryBudget | None = option(RetryBudget(), instance(RetryBudget).or_none(), "bound on retries as a share of the calls")
    max_wait: float = option(
        60.0, at_least(0), "longest wait asked for by a server that is honoured; above it the retry gives up", "s"
    )

    def contradictions(self) -> Iterator[str]:
        """The first delay is not longer than the longest."""
        if self.initial_delay > self.max_delay:
            yield f"initial_delay={self.initial_delay!r} is above max_delay={self.max_delay!r}, it must not be"

    def build(self, site: Site) -> "RetryPolicy":
        """The policy with these options at ``site``."""
        return RetryPolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying(Event):
    """An attempt failed, another follows.

    Attributes:
        attempt: number of the failed attempt, 1 for the first.
        delay: seconds until the next.
        error: what it raised; None when its result was not accepted.
    """

    attempt: int
    delay: float
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryGaveUp(Event):
    """A call that could have been tried again was not.

    Attributes:
        attempts: how many were made.
        bound: the one that was met: ``attempts``, ``budget``, ``deadline`` or ``wait``.
        error: the last one; None when the last result was not accepted.
    """

    attempts: int
    bound: str
    error: Exception | None


@dataclass(frozen=True, slots=True)
class RetrySnapshot:
    """State and statistics of a retry.

    Attributes:
        calls: that came in, each counted once.
        retries: further attempts that they took.
        gave_up: calls that ended in a transient failure all the same, by the bound that was met.
        budget: retries that the budget would allow now; None without a budget.
    """

    calls: int
    retries: int
    gave_up: dict[str, int]
    budget: float | None


class RetryPolicy(Policy[Retry]):
    """Calls again after errors that may pass. Gives up with the original error, never with one of its own.

    It stops early when the next attempt would start after the caller's deadline, when a server asks for a longer wait than is
    allowed, when the budget is spent, and after an error that a retry further inside has already given up on: retries within
    retries do not multiply.
    """

    kind = "retry"
    per_call = frozenset(each.name for each in fields(Retry)) - {"budget"}
    BOUNDS = ("attempts", "budget", "deadline", "wait")

    def __init__(self, options: Retry, site: Site) -> None:
        super().__init__(options, site)
        self._calls = Counter()
        self._retries = Counter()
        self._gave_up = {bound: Counter() for bound in self.BOUNDS}
        self._budget: Budget | None = None
        self._apply(options)

    def _apply(self, options: Retry) -> None:
        if options.budget is None:
            self._budget = None
        elif self._budget is None:
            self._budget = Budget(options.budget, self.site.clock.now, self._calls)
        else:
            self._budget.options = options.budget

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        count = self._calls.add
        sleep = self.site.clock.sleep

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            count()
            options = self._options
            series = None
            before = given_up.last
            try:
                while True:
                    try:
                        result = await inner(function, args, kwargs)
                    except Exception as error:
                        if series is None and isinstance(error, Rejected) and not passes_soon(error, options):
                            raise
                        series = series or Series(self, options, before)
                        delay = series.after_error(error)
                        if delay is None:
                            raise
                    else:
                        decide = options.retry_on_result
                        if decide is None:
                            return result
                        series = series or Series(self, options, before)
                        delay = series.after_result(decide, result)
                        if delay is None:
                            return result
                    with series:
                        await sleep(delay)
            finally:
                series = None  # it holds errors, and their tracebacks hold this frame

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        count = self._calls.add
        wait = self.site.clock.wait

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            count()
            options = self._options
            series = None
            before = given_up.last
            try:
                while True:
                    try:
                        result = inner(function, args, kwargs)
                    except Exception as error:
                        if series is None and isinstance(error, Rejected) and not passes_soon(error, options):
                            raise
                        series = series or Series(self, options, before)
                        delay = series.after_error(error)
                        if delay is None:
                            raise
                    else:
                        decide = options.retry_on_result
                        if decide is None:
                            return result
                        series = series or Series(self, options, before)
                        delay = series.after_result(decide, result)
                        if delay is None:
                            return result
                    with series:
                        wait(threading.Event(), delay)
            finally:
                series = None  # it holds errors, and their tracebacks hold this frame

        return call

    def judge(self, decide: Callable[[Any], bool], outcome: Any) -> bool:
        """What a function of the user's says of an error or a result; one that raises says no, and is reported."""
        try:
            return bool(decide(outcome))
        except Exception as error:  # noqa: BLE001 - the caller shall get the error of the work, not that of the predicate
            report(error, f"the retry predicate of pipeline {self.site.pipeline!r} raised", decide)
            return False

    @property
    def budget(self) -> Budget | None:
        """What retries are paid from, if anything."""
        return self._budget

    def retrying(self, attempt: int, delay: float, error: Exception | None) -> None:
        """Another attempt follows, after a delay."""
        self._emit(Retrying, attempt=attempt, delay=delay, error=error)

    def retried(self) -> None:
        """The delay is over."""
        self._retries.add()

    def gave_up(self, attempts: int, bound: str, error: Exception | None) -> None:
        """No other attempt follows, though the failure may pass."""
        self._gave_up[bound].add()
        self._emit(RetryGaveUp, attempts=attempts, bound=bound, error=error)

    def snapshot(self) -> RetrySnapshot:
        """State and statistics now."""
        budget = self._budget
        return RetrySnapshot(
            calls=self._calls.value,
            retries=self._retries.value,
            gave_up={bound: counter.value for bound, counter in self._gave_up.items()},
            budget=None if budget is None else budget.tokens,
        )
