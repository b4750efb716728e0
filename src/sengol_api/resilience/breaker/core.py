"""The state machine of the circuit breaker: decides, counts and changes state; makes no calls.

After M. Nygard, *Release It!* (2007). Generations and bounded probes after the breakers of Polly and failsafe-go: each change of
state starts a new generation, and what belongs to an earlier one changes nothing any more.
"""

import threading
from collections import deque
from typing import Any

from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.breaker.states import CircuitBreakerSnapshot, CircuitChanged, CircuitState
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.errors import CircuitOpen
from sengol_api.resilience.events import report
from sengol_api.resilience.hints import seconds_to_wait
from sengol_api.resilience.policy import Site
from sengol_api.resilience.transient import as_predicate

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
ISOLATED, DISABLED = CircuitState.ISOLATED, CircuitState.DISABLED


class Probe:
    """A call that was let through while half-open."""

    __slots__ = ("generation", "started")

    def __init__(self, generation: int, started: float) -> None:
        self.generation = generation
        self.started = started


Ticket = int | Probe
"""What a call holds while it is under way: the generation in which it started, or its probe."""


def _counted(options: CircuitBreaker) -> tuple[object, ...]:
    """What decides which window there is."""
    return options.trip_on, options.window, options.window_calls, options.failure_threshold, options.slow_call is None


class BreakerCore:
    """State and rules of one circuit breaker.

    While :attr:`admitting`, a call takes :attr:`generation` as its ticket, and a success that nobody has to look at
    (:attr:`plain`) is one atomic count: neither takes a lock. Everything else does.
    """

    def __init__(self, options: CircuitBreaker, site: Site) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._changes: deque[CircuitChanged] = deque()
        self._successes = Counter()
        self.count_success = self._successes.add
        self._rejected = Counter()
        self.state = CLOSED
        self.generation = 0
        self.admitting = True
        self._probes: set[Probe] = set()
        self._failures = 0
        self._successes_before = 0
        self._openings = 0  # in a row, without a closing between
        self._retry_at = 0.0
        self._since = site.clock.wall()
        self.apply(options)

    def apply(self, options: CircuitBreaker) -> None:
        """Go on with these options. What the window holds is kept if it still counts the same things."""
        with self._lock:
            old = getattr(self, "options", None)
            self.options = options
            self._is_failure = as_predicate(options.failure_on)
            kept = old is not None and _counted(old) == _counted(options)
            if not kept:
                self._window = options.new_window()
            self.timed = options.slow_call is not None
            self.plain = not self._window.needs_successes and options.failure_on_result is None

    # Calls

    def enter(self) -> Ticket:
        """Let a call through.

        Raises:
            CircuitOpen: it is not let through.
        """
        with self._lock:
            ticket = self._enter()
            wait = None if ticket is not None or self.state is ISOLATED else max(0.0, self._retry_at - self.site.clock.now())
            state = self.state
        self.tell()
        if ticket is not None:
            return ticket
        self._rejected.add()
        raise self._rejection(state, wait)

    def _rejection(self, state: CircuitState, wait: float | None) -> CircuitOpen:
        pipeline, policy = self.site.pipeline, self.site.policy
        if state is OPEN:
            return CircuitOpen(pipeline, policy, wait)
        if state is ISOLATED:
            return CircuitOpen(pipeline, policy, reason="was not made: the circuit breaker was isolated by hand")
        return CircuitOpen(pipeline, policy, reason="was not made: the circuit breaker is half-open and all its probes are out")

    def _enter(self) -> Ticket | None:
        now = self.site.clock.now()
        if self.state is OPEN and now >= self._retry_at:
            self._change(HALF_OPEN, "its time open is over")
        if self.state is HALF_OPEN:
            self._drop_hung_probes(now)
        if self.state is HALF_OPEN and len(self._probes) < self.options.max_probes:
            probe = Probe(self.generation, now)
            self._probes.add(probe)
            return probe
        return self.generation if self.admitting else None

    def returned(self, ticket: Ticket, result: Any, took: float) -> None:
        """A call gave a result after ``took`` seconds."""
        decide = self.options.failure_on_result
        failed = decide is not None and self._judge(decide, result, when_it_raises=False)
        self._record(ticket, None, failed=failed, took=took)

    def raised(self, ticket: Ticket, error: Exception, took: float) -> None:
        """A call raised an error that is no rejection."""
        self._record(ticket, error, failed=self._judge(self._is_failure, error, when_it_raises=True), took=took)

    def abandoned(self, ticket: Ticket) -> None:
        """A call was cancelled or rejected further inside: it says nothing, and gives back what it held."""
        if isinstance(ticket, Probe):
            with self._lock:
                self._probes.discard(ticket)

    def _judge(self, decide: Any, outcome: Any, *, when_it_raises: bool) -> bool:
        try:
            return bool(decide(outcome))
        except Exception as error:  # noqa: BLE001 - the caller shall get the outcome of the work, not the error of a predicate
            report(error, f"a failure predicate of pipeline {self.site.pipeline!r} raised", decide)
            return when_it_raises

    def _record(self, ticket: Ticket, error: Exception | None, *, failed: bool, took: float) -> None:
        with self._lock:
            if isinstance(ticket, Probe):
                if ticket in self._probes:
                    self._probes.discard(ticket)
                    self._probed(error, failed=failed)
            elif ticket == self.generation and self.state is CLOSED:
                self._watched(error, failed=failed, took=took)
        self.tell()

    def _watched(self, error: Exception | None, *, failed: bool, took: float) -> None:
        now = self.site.clock.now()
        slow = self.options.slow_call is not None and took > self.options.slow_call
        self._window.record(now, failed=failed, slow=slow)
        if failed:
            self._failures += 1
        else:
            self.count_success()
        tally = self._window.tally(now)
        if (failed or slow) and self.options.trips(tally):
            self._open(f"{tally.failures} failures" if failed else f"{tally.slow} slow calls", error)

    def _probed(self, error: Exception | None, *, failed: bool) -> None:
        if failed:
            self._failures += 1
            self._open("a probe failed", error)
            return
        self.count_success()
        if self._successes.value - self._successes_before >= self.options.success_threshold:
            self._close("enough probes succeeded")

    def _drop_hung_probes(self, now: float) -> None:
        if any(now - probe.started >= self.options.probe_timeout for probe in self._probes):
            self._failures += 1
            self._open("a probe did not return in time", None)

    # Changes of state

    def _open(self, reason: str, error: Exception | None) -> None:
        options = self.options
        seconds = options.reset_timeout
        for _ in range(self._openings):  # bounded by the time open, not by the number of openings
            seconds *= options.reset_multiplier
            if options.reset_multiplier == 1.0 or seconds >= options.max_reset_timeout:
                break
        if options.honour_retry_after and error is not None:
            seconds = max(seconds, seconds_to_wait(getattr(error, "retry_after", None), wall=self.site.clock.wall()) or 0.0)
        self._openings += 1
        self._open_for(min(seconds, options.max_reset_timeout), reason, error)

    def _open_for(self, seconds: float, reason: str, error: Exception | None) -> None:
        self._retry_at = self.site.clock.now() + seconds
        self._change(OPEN, reason, error, seconds)

    def _close(self, reason: str) -> None:
        self._openings = 0
        self._window = self.options.new_window()
        self._change(CLOSED, reason)

    def _change(self, state: CircuitState, reason: str, error: Exception | None = None, retry_after: float | None = None) -> None:
        previous, self.state = self.state, state
        self.admitting = state in (CLOSED, DISABLED)
        self.generation += 1
        self._probes.clear()
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

    def force(self, state: CircuitState, reason: str, seconds: float | None = None) -> None:
        """Change the state from outside: by hand, or because another replica says so."""
        with self._lock:
            if state is CLOSED:
                self._close(reason)
            elif state is OPEN:
                self._open_for(self.options.reset_timeout if seconds is None else seconds, reason, None)
            else:
                self._change(state, reason)
        self.tell()

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
            now = self.site.clock.now()
            retry_after = max(0.0, self._retry_at - now) if self.state is OPEN else None
            return CircuitBreakerSnapshot(
                state=self.state,
                failure_count=self._failures,
                recent_failures=self._window.tally(now).failures,
                success_count=self._successes.value - self._successes_before,
                rejected=self._rejected.value,
                probes=len(self._probes),
                next_attempt=None if retry_after is None else self.site.clock.wall() + retry_after,
                retry_after=retry_after,
                generation=self.generation,
                since=self._since,
            )
