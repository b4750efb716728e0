"""The state machine of the circuit breaker: decides, counts and changes state; makes no calls.

After M. Nygard, *Release It!* (2007). Generations and bounded probes after the breakers of Polly and failsafe-go: each change of
state starts a new generation, and what belongs to an earlier one changes nothing any more.
"""

import math
import threading
from collections import deque
from typing import Any

from sengol_api.resilience.backoff import exponential
from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.breaker.probes import Probe, Probes, Ticket
from sengol_api.resilience.breaker.states import Cause, CircuitBreakerSnapshot, CircuitChanged, CircuitState, Standing
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.errors import CircuitOpen, TimedOut
from sengol_api.resilience.events import report
from sengol_api.resilience.hints import wait_asked_by
from sengol_api.resilience.policy import Site
from sengol_api.resilience.transient import as_predicate

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
ISOLATED, DISABLED = CircuitState.ISOLATED, CircuitState.DISABLED

UNTIMED = math.inf
"""When a call started whose time nobody takes: it has taken less than any limit, whatever the options have become meanwhile."""


def _counted(options: CircuitBreaker) -> tuple[object, ...]:
    """What decides which window there is."""
    return options.trip_on, options.window, options.window_calls, options.failure_threshold, options.slow_call is None


class BreakerCore:
    """State and rules of one circuit breaker.

    While :attr:`admitting`, a call takes :attr:`generation` as its ticket, and a success that nobody has to look at
    (:attr:`plain`) is one atomic count; before :attr:`shut_until` it is rejected. None of these takes a lock. Everything else does,
    but for giving a probe slot back.
    """

    def __init__(self, options: CircuitBreaker, site: Site) -> None:
        self.site = site
        self._now = site.clock.now
        self._lock = threading.Lock()
        self._changes: deque[CircuitChanged] = deque()
        self._successes = Counter()
        self.count_success = self._successes.add
        self._rejected = Counter()
        self.state = CLOSED
        self.generation = 0
        self.admitting = True
        self._cause = Cause.HAND
        self._probes = Probes()
        self._failures = 0
        self._successes_before = 0
        self._openings = 0  # in a row, without a closing between
        self._retry_at = 0.0
        self.shut_until = -math.inf
        self._since = site.clock.wall()
        self._window = options.new_window()
        self.options = options
        self.apply(options)

    def apply(self, options: CircuitBreaker) -> None:
        """Go on with these options. What the window holds is kept if it still counts the same things."""
        with self._lock:
            if _counted(self.options) != _counted(options):
                self._window = options.new_window()
            self.options = options
            self._is_failure = as_predicate(options.failure_on)
            self.timed = options.slow_call is not None
            self._set_plain()

    def _set_plain(self) -> None:
        unseen = not self._window.needs_successes and self.options.failure_on_result is None
        self.plain = unseen and self.state is CLOSED

    # Calls

    def enter(self) -> Ticket | CircuitOpen:
        """Let a call through, or say why not."""
        with self._lock:
            ticket = self._enter()
            state = self.state
            wait = self._retry_at - self._now()
        self.tell()
        return self._rejection(state, wait) if ticket is None else ticket

    def _rejection(self, state: CircuitState, wait: float) -> CircuitOpen:
        if state is OPEN:
            return self.rejection(max(0.0, wait))
        if state is ISOLATED:
            return self.rejection(None, "was not made: the circuit breaker was isolated by hand")
        return self.rejection(None, "was not made: the circuit breaker is half-open and all its probes are out")

    def rejection(self, wait: float | None, reason: str = "") -> CircuitOpen:
        """The error for a call that is not let through."""
        self._rejected.add()
        return CircuitOpen(self.site.pipeline, self.site.policy, wait, reason)

    def _enter(self) -> Ticket | None:
        now = self._now()
        if self.state is OPEN and now >= self._retry_at:
            self._change(HALF_OPEN, "its time open is over", Cause.CALLS)
        if self.state is HALF_OPEN:
            self._drop_hung_probes(now)
        if self.state is HALF_OPEN:
            return self._probes.begin(now, self.options.max_probes)
        return self.generation if self.admitting else None

    def returned(self, ticket: Ticket, result: Any, took: float) -> None:
        """A call gave a result after ``took`` seconds."""
        decide = self.options.failure_on_result
        failed = decide is not None and self._judge(ticket, decide, result, when_it_raises=False)
        self._record(ticket, None, failed=failed, took=took)

    def raised(self, ticket: Ticket, error: Exception, took: float) -> None:
        """A call raised an error that is no rejection.

        A cut by a deadline that left it little time is nothing: callers in a hurry must not open the circuit for the others.
        """
        if isinstance(error, TimedOut) and error.hurried:
            self.abandoned(ticket)
            return
        self._record(ticket, error, failed=self._judge(ticket, self._is_failure, error, when_it_raises=True), took=took)

    def abandoned(self, ticket: Ticket) -> None:
        """A call was cancelled or rejected further inside: it says nothing, and gives back what it held.

        Takes no lock: a call whose event loop is gone ends when the collector finds it, which may be in the middle of anything that
        this thread does, and so while it holds the lock.
        """
        if isinstance(ticket, Probe):
            self._probes.end(ticket)

    def _judge(self, ticket: Ticket, decide: Any, outcome: Any, *, when_it_raises: bool) -> bool:
        try:
            return bool(decide(outcome))
        except Exception as error:  # noqa: BLE001 - the caller shall get the outcome of the work, not the error of a predicate
            report(error, f"a failure predicate of pipeline {self.site.pipeline!r} raised", decide)
            return when_it_raises
        except BaseException:
            self.abandoned(ticket)
            raise

    def _record(self, ticket: Ticket, error: Exception | None, *, failed: bool, took: float) -> None:
        hint = None  # asked for before the lock is taken: an attribute of an error may be anybody's code
        if failed and error is not None and self.options.honour_retry_after:
            hint = wait_asked_by(error, wall=self.site.clock.wall())
        with self._lock:
            slow = self.options.slow_call is not None and took > self.options.slow_call
            if isinstance(ticket, Probe):
                if self._probes.end(ticket):
                    self._probed(error, hint, failed=failed, slow=slow)
            elif ticket == self.generation and self.state is CLOSED:
                self._watched(error, hint, failed=failed, slow=slow)
        self.tell()

    def _watched(self, error: Exception | None, hint: float | None, *, failed: bool, slow: bool) -> None:
        now = self._now()
        self._window.record(now, failed=failed, slow=slow)
        if failed:
            self._failures += 1
        else:
            self.count_success()
        if failed or slow:
            reason = self.options.reason_to_open(self._window.tally(now))
            if reason is not None:
                self._open(reason, error, hint)

    def _probed(self, error: Exception | None, hint: float | None, *, failed: bool, slow: bool) -> None:
        if failed or slow:
            self._failures += failed
            self._open("a probe failed" if failed else "a probe was slow", error, hint)
            return
        self._probes.passed += 1
        if self._probes.passed >= self.options.success_threshold:
            self._close("enough probes succeeded", Cause.CALLS)

    def _drop_hung_probes(self, now: float) -> None:
        if self._probes.hung(now, self.options.probe_timeout):
            self._failures += 1
            self._open("a probe did not return in time", None, None)

    # Changes of state

    def _open(self, reason: str, error: Exception | None, hint: float | None) -> None:
        options = self.options
        seconds = exponential(self._openings + 1, options.reset_timeout, options.reset_multiplier, options.max_reset_timeout)
        self._open_for(max(seconds, hint or 0.0), reason, Cause.CALLS, error)

    def _open_for(self, seconds: float, reason: str, cause: Cause, error: Exception | None = None) -> None:
        seconds = min(seconds, self.options.max_reset_timeout)
        self._openings += 1
        self._retry_at = self._now() + seconds
        self._change(OPEN, reason, cause, error, seconds)

    def _close(self, reason: str, cause: Cause) -> None:
        self._openings = 0
        self._window = self.options.new_window()
        self._change(CLOSED, reason, cause)

    def _change(
        self, state: CircuitState, reason: str, cause: Cause, error: Exception | None = None, retry_after: float | None = None
    ) -> None:
        previous, self.state = self.state, state
        self.admitting = state in (CLOSED, DISABLED)
        self.shut_until = self._retry_at if state is OPEN else -math.inf
        self.generation += 1
        self._cause = cause
        self._set_plain()
        self._probes.start_over()
        self._successes_before = self._successes.value
        if state is not OPEN:
            self._failures = 0
        self._since = self.site.clock.wall()
        self._changes.append(
            CircuitChanged(
                pipeline=self.site.pipeline,
                policy=self.site.policy,
                at=self._since,
                previous=previous,
                state=state,
                generation=self.generation,
                reason=reason,
                error=error,
                retry_after=retry_after,
            )
        )

    def open_by_hand(self, seconds: float, reason: str) -> None:
        """Open it for so long."""
        with self._lock:
            self._open_for(seconds, reason, Cause.HAND)
        self.tell()

    def force(self, state: CircuitState, reason: str) -> None:
        """Change the state by hand, to any but OPEN."""
        with self._lock:
            if state is CLOSED:
                self._close(reason, Cause.HAND)
            else:
                self._change(state, reason, Cause.HAND)
        self.tell()

    # Other replicas

    def standing(self) -> Standing:
        """How it stands now."""
        with self._lock:
            return Standing(self.state, self.generation, self._cause, max(0.0, self._retry_at - self._now()))

    def follow(self, seconds: float) -> int | None:
        """Open because another replica did, for what remains there.

        Returns:
            the new generation, or None if it stays as it is: open already, or set by hand.
        """
        with self._lock:
            if self.state not in (CLOSED, HALF_OPEN):
                return None
            self._open_for(seconds, "another replica opened", Cause.REPLICA)
            generation = self.generation
        self.tell()
        return generation

    def probe_now(self, generation: int) -> bool:
        """Go to probing because another replica closed, if it is still open as it was in ``generation``."""
        with self._lock:
            if self.state is not OPEN or self.generation != generation:
                return False
            self._change(HALF_OPEN, "another replica closed", Cause.REPLICA)
        self.tell()
        return True

    def tell(self) -> None:
        """Emit the changes of state so far. Called without the lock: a listener may use the breaker."""
        while self._changes:
            try:
                change = self._changes.popleft()
            except IndexError:  # another thread tells it
                return
            self.site.events.emit(change)

    def snapshot(self) -> CircuitBreakerSnapshot:
        """State and statistics now."""
        with self._lock:
            now = self._now()
            retry_after = max(0.0, self._retry_at - now) if self.state is OPEN else None
            return CircuitBreakerSnapshot(
                state=self.state,
                failure_count=self._failures,
                recent_failures=self._window.tally(now).failures,
                success_count=self._probes.passed if self.state is HALF_OPEN else self._successes.value - self._successes_before,
                rejected=self._rejected.value,
                probes=len(self._probes),
                next_attempt=None if retry_after is None else self.site.clock.wall() + retry_after,
                retry_after=retry_after,
                generation=self.generation,
                since=self._since,
            )
