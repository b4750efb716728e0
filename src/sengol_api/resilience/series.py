"""The attempts of one call that failed, and what follows from them: another one, or why there is none."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sengol_api.resilience.backoff import exponential, jittered
from sengol_api.resilience.budget import Budget
from sengol_api.resilience.deadline import remaining
from sengol_api.resilience.errors import Rejected
from sengol_api.resilience.hints import wait_asked_by
from sengol_api.resilience.history import Attempt, mark, was_given_up_since
from sengol_api.resilience.transient import as_predicate

if TYPE_CHECKING:
    from sengol_api.resilience.retry import Retry, RetryPolicy


def passes_soon(error: Rejected, options: "Retry") -> bool:
    """Whether a rejection can be waited out. Asked before anything else: an open breaker rejects every call."""
    return error.retry_after is not None and error.retry_after <= options.max_delay


_WHY = {
    "attempts": "no more are allowed",
    "budget": "the retry budget is spent",
    "deadline": "the next one would start after the deadline",
    "wait": "the server asks for a longer wait than allowed",
}


class Series:
    """The failed attempts of one call, and what follows from them. As a context manager, the pause before the next one.

    Built at the first failure: a call that succeeds pays nothing for it.
    """

    def __init__(self, policy: "RetryPolicy", options: "Retry", before: int) -> None:
        self.policy = policy
        self.options = options
        self.before = before
        self.should_retry = as_predicate(options.retry_on)
        self.earlier: list[Attempt] = []
        self.number = 0
        self.previous_delay = options.initial_delay
        self.paid_from: Budget | None = None

    def after_error(self, error: Exception) -> float | None:
        """Seconds until the next attempt, or None when there is none."""
        if was_given_up_since(error, self.before):
            return None
        hint = wait_asked_by(error, wall=self.policy.site.clock.wall())
        rejected = isinstance(error, Rejected)
        if (rejected and (hint is None or hint > self.options.max_delay)) or not self.policy.judge(self.should_retry, error):
            if self.number > 0:
                self._mark(error, self.number + 1, "the last error is not one to try again after")
            return None
        return self._next(error, hint, free=rejected)

    def after_result(self, decide: Callable[[Any], bool], result: Any) -> float | None:
        """Seconds until the next attempt, or None when the result stands."""
        if not self.policy.judge(decide, result):
            return None
        return self._next(None, None, free=False)

    def _next(self, error: Exception | None, hint: float | None, *, free: bool) -> float | None:
        options = self.options
        self.number += 1
        delay = self._delay(hint)
        left = remaining()
        bound = None
        if self.number > options.max_retries:
            bound = "attempts"
        elif hint is not None and hint > options.max_wait:
            bound = "wait"
        elif left is not None and delay >= left:
            bound = "deadline"
        elif not free and not self._pay():
            bound = "budget"
        if bound is None:
            if error is not None:
                self.earlier.append(Attempt(self.number, error, delay))
            self.previous_delay = delay
            self.policy.retrying(self.number, delay, error)
            return delay
        if error is not None and options.max_retries > 0:
            self._mark(error, self.number, _WHY[bound])
        self.policy.gave_up(self.number, bound, error)
        return None

    def _pay(self) -> bool:
        self.paid_from = self.policy.budget
        return self.paid_from is None or self.paid_from.withdraw()

    def __enter__(self) -> None:
        """Pause."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Go on, or end the call in the pause: then no retry was made, and none is paid."""
        budget, self.paid_from = self.paid_from, None
        if kind is None:
            self.policy.retried()
        elif budget is not None:
            budget.give_back()

    def _mark(self, error: Exception, number: int, why: str) -> None:
        attempts = "1 attempt" if number == 1 else f"{number} attempts"
        mark(error, self.earlier, number, f"{self.policy.site.pipeline}: gave up after {attempts}: {why}")

    def _delay(self, hint: float | None) -> float:
        options, random = self.options, self.policy.site.random
        step = exponential(self.number, options.initial_delay, options.multiplier, options.max_delay)
        own = jittered(options.jitter, step, self.previous_delay, options.initial_delay, options.max_delay, random)
        if hint is None or hint <= own:
            return own
        # Never earlier than the server said; and not all at the very moment that it named, nor at any other.
        return hint if options.jitter == "none" else hint + random.uniform(0, min(step, 0.1 * hint))
