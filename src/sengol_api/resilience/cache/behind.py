"""The second tier as a cache sees it: nothing that it does can fail a call."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from sengol_api.resilience.cache.answers import Answer, Result
from sengol_api.resilience.cache.coalescing import Claim, SharedCalls
from sengol_api.resilience.cache.copies import pack
from sengol_api.resilience.cache.envelope import Enclosed
from sengol_api.resilience.cache.keys import Key, name_of
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import CacheSource
from sengol_api.resilience.cache.shelf import Shelf
from sengol_api.resilience.cache.states import TierFailed
from sengol_api.resilience.cache.tier import GuardedTier
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.errors import Rejected
from sengol_api.resilience.policy import Site


class Behind:
    """What stands behind the shelf, if anything does.

    The age of what it has is told by wall clocks, the only ones that machines share. One that is wrong makes a value be made anew,
    or live a second time to live here, and no longer.

    Args:
        options: at the start.
        site: of the cache.
        shelf: where entries that it has go to.
        calls: to leave work to that nobody waits for.
        emit: tells the listeners.
    """

    def __init__(self, options: Cache, site: Site, shelf: Shelf, calls: SharedCalls, emit: Callable[..., None]) -> None:
        self._site = site
        self._shelf = shelf
        self._calls = calls
        self._emit = emit
        self._guard: GuardedTier | None = None
        self._built_for: tuple[object, ...] = (None,)
        self.hits = Counter()
        self.errors = Counter()
        self.apply(options)

    def apply(self, options: Cache) -> None:
        """Go on with these options."""
        tier = options.tier
        wanted = (tier, options.tier_timeout, options.tier_failures, options.tier_cooldown)
        if wanted == self._built_for:
            return
        self._built_for = wanted
        self._guard = None if tier is None else GuardedTier(tier, *wanted[1:], self._site)

    @property
    def state(self) -> str | None:
        """State of the tier's breaker; None without a tier."""
        return None if self._guard is None else self._guard.state

    async def find(self, claim: Claim, options: Cache) -> Result | None:
        """What the tier has for a call, if it is fresh. What is stale there goes to the shelf, should the call fail."""
        found = await self._read(claim.key)
        if found is None:
            return None
        try:
            value = options.decode(found.body)
            held, thaw = pack(value, options.copy)
        except Exception as error:  # noqa: BLE001 - what nobody can read is not there
            self._failed("get", error)
            return None
        age = max(0.0, self._site.clock.wall() - found.made_at)
        if age < found.ttl + max(options.stale_while_revalidate, options.stale_if_error):
            self._shelf.store(claim.key, held, thaw, options, found.ttl, took=found.took, value=value, claim=claim, age=age)
        if age >= found.ttl:
            return None
        self.hits.add()
        return Result(Answer(value, CacheSource.FRESH, age), held, thaw, shareable=True, ttl=found.ttl)

    async def _read(self, key: Key) -> Enclosed | None:
        guard = self._guard
        if guard is None:
            return None
        name = name_of(key)
        if name is None:
            return None
        try:
            return await guard.get(name)
        except Rejected:  # it is left alone
            return None
        except Exception as error:  # noqa: BLE001 - whatever the tier does, the call goes on
            self._failed("get", error)
            return None

    def set(self, key: Key, value: Any, ttl: float, took: float, options: Cache) -> None:
        """Hand a value on, in the background. It is encoded at once: its receiver may change it."""
        guard = self._guard
        if guard is None or ttl <= 0:
            return
        name = name_of(key)
        if name is None:
            return
        try:
            body = options.encode(value)
        except Exception:  # noqa: BLE001 - what cannot be encoded stays here
            return
        entry = Enclosed(body, self._site.clock.wall(), ttl, took)
        window = max(options.stale_while_revalidate, options.stale_if_error)
        serial = guard.serial
        self._in_background(lambda: self._attempt("set", guard.set, name, entry, ttl + window, serial))

    def remove(self, key: Key) -> None:
        """Forget an entry: at once for this process, and for all as soon as the tier has been told."""
        guard = self._guard
        if guard is None:
            return
        name = name_of(key)
        if name is not None:
            guard.disbelieve(name)
            self._in_background(lambda: self._attempt("delete", guard.delete, name))

    def clear(self) -> None:
        """Forget all entries in the same way."""
        guard = self._guard
        if guard is not None:
            guard.disbelieve_all()
            self._in_background(lambda: self._attempt("clear", guard.clear))

    def _in_background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # no event loop in this thread: nothing that could talk to the tier
            return
        self._calls.in_background(work())

    async def _attempt(self, operation: str, access: Callable[..., Awaitable[None]], *args: Any) -> None:
        try:
            await access(*args)
        except Rejected:
            pass
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            self._failed(operation, error)

    def _failed(self, operation: str, error: Exception) -> None:
        self.errors.add()
        self._emit(TierFailed, operation=operation, error=error)
