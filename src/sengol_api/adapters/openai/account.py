"""An account with a provider: the breaker of its key, and one call that goes ahead of the others while nobody knows the account."""

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple

from sengol_api.resilience import CircuitChanged, CircuitState, Clock, Pipeline, remaining
from sengol_api.resilience.breaker.states import CircuitBreakerSnapshot

HEAD_START: Final = 1.0
"""Seconds. A refusal comes within a few hundred milliseconds, an answer takes longer, and nobody shall wait for all of that."""
SHARE: Final = 0.2
"""Of the caller's deadline, which the head start takes at most."""


class _Ahead(NamedTuple):
    """The call that went ahead: when, and a future that is set when it has ended."""

    since: float
    ended: asyncio.Future[None]


class Account:
    """One account, whatever kinds of requests go to it.

    A spent quota, or a key that is not valid, is told to every call alike, so a few that are sent at the same time are refused, and
    counted by the provider, all of them. Therefore the first call to an account that has not answered yet, or whose breaker has
    opened since, goes ahead: those that come meanwhile wait until it has ended, for a second, or a fifth of their time, at most. An
    account that has answered costs its calls nothing.

    Args:
        pipeline: with the breaker of the key.
        clock: whose time counts.

    Attributes:
        known: it has answered, and its breaker has not opened since.
    """

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self.pipeline = pipeline
        self._breaker = pipeline["circuit_breaker"]
        self._now = clock.now
        self.known = False
        self._ahead: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Ahead] = weakref.WeakKeyDictionary()
        pipeline.subscribe(self._doubt, CircuitChanged)

    def _doubt(self, event: Any) -> None:  # noqa: ANN401 - a CircuitChanged
        if event.state is not CircuitState.CLOSED:
            self.known = False

    @property
    def why_away(self) -> str:
        """Why no call would be made now, in words that may be shown; empty when one may."""
        return why_shut(self._breaker.snapshot())

    async def call(self, work: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:  # noqa: ANN401 - what the work gives
        """Do it, as soon as it is this call's turn."""
        if self.known:
            return await self.pipeline.call(work, *args)
        mine = await self._turn()
        try:
            answer = await self.pipeline.call(work, *args)
            self.known = True
        finally:
            if mine is not None:
                self._end(mine)
        return answer

    async def _turn(self) -> _Ahead | None:
        """Wait until nobody is ahead, or for as long as one waits; the place ahead, if this call takes it."""
        loop, now = asyncio.get_running_loop(), self._now()
        left = remaining()
        until = now + (HEAD_START if left is None else min(HEAD_START, SHARE * left))
        while not self.known:
            ahead = self._ahead.get(loop)
            if ahead is None:
                mine = self._ahead[loop] = _Ahead(self._now(), loop.create_future())
                return mine
            patience = min(until, ahead.since + HEAD_START) - self._now()
            if patience <= 0:
                return None
            await asyncio.wait({ahead.ended}, timeout=patience)
        return None

    def _end(self, mine: _Ahead) -> None:
        loop = asyncio.get_running_loop()
        if self._ahead.get(loop) is mine:
            del self._ahead[loop]
        if not mine.ended.done():
            mine.ended.set_result(None)


def why_shut(breaker: CircuitBreakerSnapshot) -> str:
    """Why a breaker would let no call through now, in words that may be shown; empty when it may let one through."""
    if breaker.state is CircuitState.ISOLATED:
        return "its circuit breaker was isolated by hand"
    if breaker.state is CircuitState.OPEN and breaker.retry_after:
        return "its circuit breaker is open"
    return ""
