"""Who looks on at calls: to measure them, or to trace them."""

from typing import Protocol, runtime_checkable

from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.policy import AsyncCall, SyncCall


@runtime_checkable
class Instrument(Protocol):
    """Gives links that a pipeline puts around its whole chain, and around each attempt.

    An attempt is what a retry repeats, a bulkhead holds a place for and a breaker counts: the work under its time limit. A call
    that the cache answered, or that was refused, makes none; one that was retried or hedged makes several, the hedged ones side by
    side and all but the first in tasks of their own.

    A link calls ``inner`` once, with what it was given, and hands on what that gives or raises. Without an instrument there is
    nothing: the chain is linked without it. Its links run within the call, so an instrument that raises fails the call.
    """

    def around_calls(self, pipeline: str, inner: AsyncCall) -> AsyncCall:
        """A link around every call of a coroutine function."""
        ...

    def around_calls_sync(self, pipeline: str, inner: SyncCall) -> SyncCall:
        """The same for plain functions."""
        ...

    def around_attempts(self, pipeline: str, inner: AsyncCall) -> AsyncCall:
        """A link around every attempt of a coroutine function."""
        ...

    def around_attempts_sync(self, pipeline: str, inner: SyncCall) -> SyncCall:
        """The same for plain functions."""
        ...


def check(given: object) -> None:
    """Refuse what is no instrument.

    Raises:
        OptionsError: it lacks a method.
    """
    if not isinstance(given, Instrument):
        raise OptionsError("instrument", [f"{given!r} is not allowed, it takes an object with the methods of Instrument"])
