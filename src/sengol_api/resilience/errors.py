"""What the policies raise.

::

    Exception
    ├── OptionsError (ValueError)        an option or an order of policies that makes no sense, when it is built
    ├── Rejected                         a policy refused; the work was not started
    │   ├── CircuitOpen                  the circuit breaker is open, isolated, or has all its probes out
    │   ├── BulkheadFull                 no place among the running calls nor in the queue, or none came in time
    │   ├── RateLimited                  over the rate
    │   ├── Overloaded                   over an adaptive limit, or not admitted
    │   └── DeadlineExceeded             no time left to start (also a TimedOut)
    └── TimedOut (TimeoutError)          the work was started, and cut because its time was over

*Rejected is not failed*: a breaker does not count a rejection, and a retry waits one out only when it says how long.
Texts are made when they are asked for: under overload a rejection must cost next to nothing. Every error can be copied, and
pickled on its way from a worker process to its parent.
"""

from collections.abc import Iterable
from typing import Any


def _in_words(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:.0f} s"


class OptionsError(ValueError):
    """Options that make no sense. The text lists each: what was given, and what is allowed."""

    def __init__(self, subject: str, problems: Iterable[str]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        super().__init__(subject, self.problems)

    def __str__(self) -> str:
        return f"{self.subject}: " + "; ".join(self.problems)


class Rejected(Exception):
    """A policy refused to start the work.

    Attributes:
        name: of the pipeline.
        policy: which of its policies refused, as in ``pipeline[policy]``.
        retry_after: seconds after which a new try may be let in; None when nobody can know.
    """

    reason = "was refused"

    def __init__(self, name: str, policy: str, retry_after: float | None = None, reason: str = "") -> None:
        self.name = name
        self.policy = policy
        self.retry_after = retry_after
        if reason:
            self.reason = reason
        # Nothing for the base to do: it has kept the arguments when the object was made, and under overload this is what costs.

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.policy), self.__dict__

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f"; try again in {_in_words(self.retry_after)}"
        return f"{self.name}: the call {self.reason} ({self.policy}){wait}"


class CircuitOpen(Rejected):
    """The circuit breaker lets nothing through now."""

    reason = "was not made: the circuit breaker is open"


class BulkheadFull(Rejected):
    """As many calls as allowed are running, and the queue is full or did not move in time."""

    reason = "found no free place"


class RateLimited(Rejected):
    """The call would go over the rate."""

    reason = "is over the rate limit"


class Overloaded(Rejected):
    """There is more work than can be done in time."""

    reason = "was shed under overload"


class TimedOut(TimeoutError):
    """The work was started, and cut because its time was over.

    Attributes:
        name: of the pipeline, or ``"deadline"``.
        policy: which of its policies cut it.
        limit: seconds that it had.
        by_deadline: the caller's deadline ended, not the policy's own limit.
        hurried: less than half of that deadline was left when the work was started, so the cut says little about the service.
    """

    hurried = False

    def __init__(self, name: str, policy: str, limit: float, *, by_deadline: bool = False, hurried: bool = False) -> None:
        self.name = name
        self.policy = policy
        self.limit = limit
        self.by_deadline = by_deadline
        self.hurried = hurried
        Exception.__init__(self, name, policy, limit)  # an OSError would take them for its errno, text and file name

    def __str__(self) -> str:
        whose = "the caller's deadline" if self.by_deadline else "its limit"
        return f"{self.name}: no answer within {_in_words(self.limit)}, {whose} ({self.policy})"


class DeadlineExceeded(Rejected, TimedOut):
    """The caller's deadline left no time to start."""

    reason = "was not started: its deadline had passed"
    limit = 0.0
    by_deadline = True

    def __init__(self, name: str, policy: str) -> None:
        Rejected.__init__(self, name, policy)
        self.args = (name, policy)
