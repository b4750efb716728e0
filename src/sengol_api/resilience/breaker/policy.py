"""The circuit breaker around calls."""

from collections.abc import Callable
from typing import Any

from sengol_api.resilience.breaker.core import UNTIMED, BreakerCore
from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.breaker.probes import Ticket
from sengol_api.resilience.breaker.states import CircuitBreakerSnapshot, CircuitState
from sengol_api.resilience.errors import CircuitOpen, OptionsError, Rejected
from sengol_api.resilience.options import above
from sengol_api.resilience.policy import AsyncCall, Policy, Site, SyncCall

_SECONDS = above(0)


class CircuitBreakerPolicy(Policy[CircuitBreaker]):
    """Stops calling what keeps failing, and finds out by a few probes when it is well again.

    A cancelled call, and one that was rejected further inside, counts as nothing and gives its probe slot back.
    """

    kind = "circuit_breaker"

    def __init__(self, options: CircuitBreaker, site: Site) -> None:
        super().__init__(options, site)
        self.core = BreakerCore(options, site)

    def _apply(self, options: CircuitBreaker) -> None:
        self.core.apply(options)

    @property
    def state(self) -> CircuitState:
        """CLOSED, OPEN, HALF_OPEN, ISOLATED or DISABLED."""
        return self.core.state

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        core = self.core
        now = self.site.clock.now
        events = self.site.events
        reject, count_success = core.rejection, core.count_success

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            # Taken before it is asked whether it admits: whatever comes between the two makes the ticket an old one.
            ticket: Ticket = core.generation
            if not core.admitting:
                wait = core.shut_until - now()
                if wait > 0:
                    raise self._refused(reject(wait)) if events.heard else reject(wait)
                ticket = self._entered()
            started = now() if core.timed else UNTIMED
            try:
                result = await inner(function, args, kwargs)
            except Rejected:
                core.abandoned(ticket)
                raise
            except Exception as error:
                core.raised(ticket, error, now() - started)
                raise
            except BaseException:
                core.abandoned(ticket)
                raise
            if core.plain and ticket == core.generation:
                count_success()
            else:
                core.returned(ticket, result, now() - started)
            return result

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        core = self.core
        now = self.site.clock.now
        events = self.site.events
        reject = core.rejection

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            ticket: Ticket = core.generation
            if not core.admitting:
                wait = core.shut_until - now()
                if wait > 0:
                    raise self._refused(reject(wait)) if events.heard else reject(wait)
                ticket = self._entered()
            started = now() if core.timed else UNTIMED
            try:
                result = inner(function, args, kwargs)
            except Rejected:
                core.abandoned(ticket)
                raise
            except Exception as error:
                core.raised(ticket, error, now() - started)
                raise
            except BaseException:
                core.abandoned(ticket)
                raise
            if core.plain and ticket == core.generation:
                core.count_success()
            else:
                core.returned(ticket, result, now() - started)
            return result

        return call

    def _entered(self) -> Ticket:
        entered = self.core.enter()
        if not isinstance(entered, CircuitOpen):
            return entered
        try:
            raise self._refused(entered)
        finally:
            del entered  # the traceback has this frame

    def isolate(self) -> None:
        """Reject everything until :meth:`reset`."""
        self.core.force(CircuitState.ISOLATED, "isolated by hand")

    def disable(self) -> None:
        """Let everything through, watching nothing, until :meth:`reset`."""
        self.core.force(CircuitState.DISABLED, "disabled by hand")

    def reset(self) -> None:
        """Close it and forget all failures."""
        self.core.force(CircuitState.CLOSED, "reset by hand")

    def open_for(self, seconds: float, reason: str = "opened by hand") -> None:
        """Open it for some seconds (at most ``max_reset_timeout``), as if it had failed.

        Raises:
            OptionsError: ``seconds`` is no finite number above 0.
        """
        if not _SECONDS.accepts(seconds):
            raise OptionsError("open_for", [f"seconds={seconds!r} is not allowed, it takes {_SECONDS.words}"])
        self.core.open_by_hand(seconds, reason)

    def snapshot(self) -> CircuitBreakerSnapshot:
        """State and statistics now."""
        return self.core.snapshot()
