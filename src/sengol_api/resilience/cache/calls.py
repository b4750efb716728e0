"""Coroutine functions under a cache."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from sengol_api.resilience.cache.answers import Answer, Result
from sengol_api.resilience.cache.behind import Behind
from sengol_api.resilience.cache.coalescing import Claim, NotInTime, SharedCall, SharedCalls, is_inside
from sengol_api.resilience.cache.keys import Key
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import CacheSource, present
from sengol_api.resilience.cache.shelf import Shelf
from sengol_api.resilience.deadline import time_left
from sengol_api.resilience.errors import TimedOut
from sengol_api.resilience.policy import Site

Make: TypeAlias = Callable[[], Awaitable[Any]]
"""Makes the call."""


class Calls:
    """Calls that a look at the shelf alone did not answer.

    Args:
        site: of the cache.
        shelf: what it holds.
        behind: its second tier.
        shared: the calls that are under way.
    """

    def __init__(self, site: Site, shelf: Shelf, behind: Behind, shared: SharedCalls) -> None:
        self._site = site
        self._now = site.clock.now
        self._shelf = shelf
        self._behind = behind
        self._shared = shared

    async def call(self, make: Make, key: Key, options: Cache) -> Any:
        """The value for a key, from wherever it comes first."""
        scope = present()
        if scope is None:
            return (await self._answer(make, key, options)).value
        if scope.outcome is not None:
            scope.outcome.note(None)
        answer = await (self._alone(make, key, options) if scope.skip else self._answer(make, key, options))
        if scope.outcome is not None:
            scope.outcome.note(answer.source, answer.age)
        return answer.value

    async def _alone(self, make: Make, key: Key, options: Cache) -> Answer:
        self._shelf.misses.add()
        return (await self._made(make, key, options, None)).answer

    async def _answer(self, make: Make, key: Key, options: Cache) -> Answer:
        found = self._shelf.look(key, options)
        if found is not None:
            entry, refresh = found
            answer = self._shelf.serve(key, entry)
            if answer is not None:
                if refresh:
                    self._refresh(make, key, options, stale=answer.source is CacheSource.STALE)
                return answer
        self._shelf.purge()
        try:
            return await self._together(make, key, options)
        except Exception as error:
            rescued = self._shelf.rescue(key, options, error)
            if rescued is None:
                raise
            return rescued

    async def _together(self, make: Make, key: Key, options: Cache) -> Answer:
        """The answer of a call that all share who come while it is under way."""
        loop = asyncio.get_running_loop()
        shared: SharedCall | None = None
        try:
            while True:
                left = time_left(self._site.pipeline, self._site.policy)
                shared = self._shared.find(loop, key)
                starts = shared is None
                if shared is None:
                    shared = self._shared.start(key, functools.partial(self._found_or_made, make, options), wanted=False)
                elif is_inside(shared):
                    break
                try:
                    await self._shared.wait(shared, left)
                except NotInTime:
                    raise TimedOut(self._site.pipeline, self._site.policy, left or 0.0, by_deadline=True) from None
                if shared.abandoned is None:
                    answer = self._shelf.taken(shared, starts=starts)
                    if answer is not None:
                        return answer
                    break
                if starts:
                    raise shared.abandoned
        finally:
            shared = None  # an error that leaves here has this frame, and the call has the error: no circle
        return Answer(await make(), CacheSource.MISS)

    def _refresh(self, make: Make, key: Key, options: Cache, *, stale: bool) -> None:
        if self._shared.find(asyncio.get_running_loop(), key) is None:
            self._shelf.refreshes.add()
            # The tier has nothing newer than a value that is still fresh: it has that very value.
            source = self._found_or_made if stale else self._made_by
            self._shared.start(key, functools.partial(self._renewed, functools.partial(source, make, options)), wanted=True)

    async def _renewed(self, renew: Callable[[Claim], Awaitable[Result]], claim: Claim) -> Result:
        try:
            return await renew(claim)
        except Exception as error:
            self._shelf.renewal_failed(claim.key, error)
            raise

    async def _found_or_made(self, make: Make, options: Cache, claim: Claim) -> Result:
        found = await self._behind.find(claim, options)
        return await self._made_by(make, options, claim) if found is None else found

    async def _made_by(self, make: Make, options: Cache, claim: Claim) -> Result:
        return await self._made(make, claim.key, options, claim)

    async def _made(self, make: Make, key: Key, options: Cache, claim: Claim | None) -> Result:
        started = self._now()
        value = await make()
        took = self._now() - started
        result = self._shelf.keep(key, value, options, took, claim)
        self._behind.set(key, value, result.ttl, took, options)
        return result
