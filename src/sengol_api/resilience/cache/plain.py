"""Plain functions under a cache."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

from sengol_api.resilience.cache.answers import Answer, Result
from sengol_api.resilience.cache.coalescing import Claim, NotInTime, SharedCall, SharedCalls, is_inside
from sengol_api.resilience.cache.keys import Key
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import CacheSource, present
from sengol_api.resilience.cache.shelf import Shelf
from sengol_api.resilience.deadline import current, time_left
from sengol_api.resilience.errors import TimedOut
from sengol_api.resilience.policy import Site

Make: TypeAlias = Callable[[], Any]
"""Makes the call."""


class PlainCalls:
    """Calls that a look at the shelf alone did not answer.

    There is no background here: the caller who comes first refreshes, the others are served what there is. The second tier is left
    alone: it speaks to coroutines only.

    Args:
        site: of the cache.
        shelf: what it holds.
        shared: the calls that are under way.
    """

    def __init__(self, site: Site, shelf: Shelf, shared: SharedCalls) -> None:
        self._site = site
        self._now = site.clock.now
        self._shelf = shelf
        self._shared = shared

    def call(self, make: Make, key: Key, options: Cache) -> Any:
        """The value for a key, from wherever it comes first."""
        scope = present()
        if scope is None:
            return self._answer(make, key, options).value
        if scope.outcome is not None:
            scope.outcome.note(None)
        answer = self._alone(make, key, options) if scope.skip else self._answer(make, key, options)
        if scope.outcome is not None:
            scope.outcome.note(answer.source, answer.age)
        return answer.value

    def _alone(self, make: Make, key: Key, options: Cache) -> Answer:
        self._shelf.misses.add()
        return self._made(make, key, options, None).answer

    def _answer(self, make: Make, key: Key, options: Cache) -> Answer:
        found = self._shelf.look(key, options)
        if found is not None:
            entry, refresh = found
            answer = (self._renewed(make, key, options) if refresh else None) or self._shelf.serve(key, entry)
            if answer is not None:
                return answer
        self._shelf.purge()
        try:
            return self._together(make, key, options)
        except Exception as error:
            rescued = self._shelf.rescue(key, options, error)
            if rescued is None:
                raise
            return rescued

    def _renewed(self, make: Make, key: Key, options: Cache) -> Answer | None:
        """A new value, if it is this caller's turn to make it, and it can be made."""
        shared, starts = self._shared.join(key)
        if not starts:
            return None
        self._shelf.refreshes.add()
        try:
            self._shared.run(shared, self._work(make, options, shared.claim))
            if shared.error is not None:
                self._shelf.renewal_failed(key, shared.error)
                return None
            return self._shelf.taken(shared, starts=True)
        finally:
            del shared  # an error has this frame, at the back of those in its traceback, and the call has the error: no circle

    def _together(self, make: Make, key: Key, options: Cache) -> Answer:
        """The answer of a call that all threads share that come while it is under way."""
        shared: SharedCall | None = None
        try:
            while True:
                shared, starts = self._shared.join(key)
                if starts:
                    self._shared.run(shared, self._work(make, options, shared.claim))
                elif is_inside(shared):
                    break
                else:
                    self._wait(shared)
                if shared.abandoned is None and not _ended_by_less_time_than_ours(shared):
                    answer = self._shelf.taken(shared, starts=starts)
                    if answer is not None:
                        return answer
                    break
        finally:
            shared = None  # no circle here either
        return Answer(make(), CacheSource.MISS)

    def _work(self, make: Make, options: Cache, claim: Claim) -> Callable[[], Result]:
        return functools.partial(self._made, make, claim.key, options, claim)

    def _wait(self, shared: SharedCall) -> None:
        left = time_left(self._site.pipeline, self._site.policy)
        try:
            self._shared.wait_sync(shared, self._site.clock, left)
        except NotInTime:
            raise TimedOut(self._site.pipeline, self._site.policy, left or 0.0, by_deadline=True) from None

    def _made(self, make: Make, key: Key, options: Cache, claim: Claim | None) -> Result:
        started = self._now()
        value = make()
        return self._shelf.keep(key, value, options, self._now() - started, claim)


def _ended_by_less_time_than_ours(shared: SharedCall) -> bool:
    """Whether a call failed that had an earlier deadline: with ours it may succeed."""
    if shared.error is None or shared.expires_at is None:
        return False
    deadline = current()
    return deadline is None or deadline.expires_at > shared.expires_at
