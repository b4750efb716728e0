"""A shared store that may vanish or freeze, kept from delaying anybody."""

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sengol_api.resilience.answered import done_within
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import remaining
from sengol_api.resilience.events import Event
from sengol_api.resilience.policy import Site
from sengol_api.resilience.rate.store import RateStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStoreLost(Event):
    """The shared store failed several times in a row; each replica limits by itself until it is back.

    Attributes:
        error: its last failure.
        cooldown: seconds until it is asked again.
    """

    error: Exception
    cooldown: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStoreBack(Event):
    """The shared store answers again."""


class StoreAway(Exception):
    """The store is left alone for now, or gave no answer."""


class SharedStore:
    """Asks the store, but never for longer than a call can bear.

    After ``failures`` in a row it is left alone for ``cooldown``; then one call asks again, while the others still do not. Of calls
    that were under way together and failed together one counts: else a moment's silence of the store, with much to ask, were as
    many failures in a row.

    Args:
        store: the store.
        timeout: seconds for one answer.
        failures: in a row, after which it is left alone.
        cooldown: seconds for which it is left alone.
        site: where the policy stands.
    """

    def __init__(self, store: RateStore, timeout: float, failures: int, cooldown: float, site: Site) -> None:
        self.store = store
        self._timeout = timeout
        self._failures = failures
        self._cooldown = cooldown
        self._site = site
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._failed_at = -math.inf
        self._away_until = 0.0
        self.errors = Counter()

    @property
    def away(self) -> bool:
        """Whether it is left alone, or was until now and has not answered yet."""
        return self._in_a_row >= self._failures

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Its answer.

        Raises:
            StoreAway: there is none.
        """
        if self.away and not self._try_again():
            raise StoreAway
        left, asked_at = remaining(), self._site.clock.now()
        try:
            answer = await _answered(question(), self._timeout if left is None else min(self._timeout, left))
        except Exception as error:
            # A caller with next to no time left says nothing about the store.
            if left is None or left > self._timeout or not isinstance(error, TimeoutError):
                self._failed(error, asked_at)
            raise StoreAway from error
        if self._in_a_row:
            self._answered()
        return answer

    def _try_again(self) -> bool:
        now = self._site.clock.now()
        with self._lock:
            if now < self._away_until:
                return False
            self._away_until = now + self._cooldown
            return True

    def _failed(self, error: Exception, asked_at: float) -> None:
        self.errors.add()
        now = self._site.clock.now()
        with self._lock:
            if asked_at < self._failed_at:
                return
            self._failed_at = now
            self._in_a_row += 1
            lost = self._in_a_row == self._failures
            if self._in_a_row >= self._failures:
                self._away_until = now + self._cooldown
        if lost:
            self._tell(RateStoreLost, error=error, cooldown=self._cooldown)

    def _answered(self) -> None:
        with self._lock:
            was_away, self._in_a_row = self.away, 0
        if was_away:
            self._tell(RateStoreBack)

    def _tell(self, kind: type[Event], **fields: object) -> None:
        site = self._site
        site.events.emit(kind(pipeline=site.pipeline, policy=site.policy, at=site.clock.wall(), **fields))


async def _answered(question: Awaitable[T], seconds: float) -> T:
    task = asyncio.ensure_future(question)
    try:
        if await done_within(seconds, task):
            return task.result()
        raise TimeoutError
    finally:
        task.cancel()
