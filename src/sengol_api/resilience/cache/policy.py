"""The cache around calls."""

import functools
from collections.abc import Callable
from typing import Any

from sengol_api.resilience.cache.behind import Behind
from sengol_api.resilience.cache.calls import Calls
from sengol_api.resilience.cache.coalescing import SharedCalls
from sengol_api.resilience.cache.keys import Key, call_key, canonical, handed_out
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.plain import PlainCalls
from sengol_api.resilience.cache.scope import present
from sengol_api.resilience.cache.shelf import Shelf
from sengol_api.resilience.cache.states import CacheSnapshot
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.options import at_least
from sengol_api.resilience.policy import AsyncCall, Policy, Site, SyncCall

_TTL = at_least(0).or_none()


class CachePolicy(Policy[Cache]):
    """Keeps results. Errors are never kept.

    A value is handed out so that its receiver cannot change it for the next one: immutable values as they are, others as copies.

    Callers with the same key at the same time share one call. It runs apart from them all, without a deadline (the timeouts further
    inside bound it), while each keeps to their own; when the last of them has gone, it is cancelled. What was invalidated or put
    anew while it ran is not overwritten by its result.

    Plain functions have no background: the caller who comes first refreshes, the others are served what there is. They leave the
    second tier alone.
    """

    kind = "cache"

    def __init__(self, options: Cache, site: Site) -> None:
        super().__init__(options, site)
        self._shared = SharedCalls()
        self._shelf = Shelf(options, site, self._shared, self._emit)
        self._behind = Behind(options, site, self._shelf, self._shared, self._emit)
        self._calls = Calls(site, self._shelf, self._behind, self._shared)
        self._plain_calls = PlainCalls(site, self._shelf, self._shared)
        self._key_of = options.key
        self._find = self._shelf.entries.find
        self._touch = self._shelf.entries.touch
        self._count_hit = self._shelf.hits.add
        self._now = site.clock.now

    def _apply(self, options: Cache) -> None:
        self._key_of = options.key
        self._shelf.resize(options)
        self._behind.apply(options)

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        find, touch, now, count_hit = self._find, self._touch, self._now, self._count_hit
        answer = self._calls.call

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            key_of = self._key_of
            if key_of is None:
                key = call_key(function, args, kwargs)
            else:
                key = key_of(*args, **kwargs)
                if type(key) is not str:
                    key = canonical(key)
            entry = find(key)
            if entry is not None and entry.thaw is None and now() < entry.sure_until and present() is None:
                try:  # noqa: SIM105 - suppress() would cost more than the look
                    touch(key)
                except KeyError:  # another thread has just removed it; what it held is as good as it was
                    pass
                count_hit()
                return entry.held
            return await answer(functools.partial(inner, function, args, kwargs), key, self._options)

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        find, touch, now, count_hit = self._find, self._touch, self._now, self._count_hit
        answer = self._plain_calls.call

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            key_of = self._key_of
            if key_of is None:
                key = call_key(function, args, kwargs)
            else:
                key = key_of(*args, **kwargs)
                if type(key) is not str:
                    key = canonical(key)
            entry = find(key)
            if entry is not None and entry.thaw is None and now() < entry.sure_until and present() is None:
                try:  # noqa: SIM105 - suppress() would cost more than the look
                    touch(key)
                except KeyError:  # another thread has just removed it; what it held is as good as it was
                    pass
                count_hit()
                return entry.held
            return answer(functools.partial(inner, function, args, kwargs), key, self._options)

        return call

    # By hand

    def get(self, key: Any, default: Any = None) -> Any:
        """The fresh value under a key, or ``default``.

        Args:
            key: what the ``key`` option gives for the call, or what was put under.
            default: to tell a None that is kept from nothing.

        Raises:
            TypeError: no key can be made of it.
        """
        if type(key) is not str:
            key = canonical(key)
        entry = self._find(key)
        scope = present()
        if entry is not None and self._now() < entry.fresh_until and (scope is None or not scope.skip):
            if entry.thaw is None:
                try:  # noqa: SIM105 - suppress() would cost more than the look
                    self._touch(key)
                except KeyError:  # another thread has just removed it
                    pass
                self._count_hit()
                return entry.held
            answer = self._shelf.serve(key, entry)
            if answer is not None:
                return answer.value
        self._shelf.misses.add()
        return default

    def holds(self, key: Any) -> bool:
        """Whether a fresh value is kept under a key, in this process. It counts as no use of it.

        Raises:
            TypeError: no key can be made of it.
        """
        entry = self._find(key if type(key) is str else canonical(key))
        return entry is not None and self._now() < entry.fresh_until

    def put(self, key: Any, value: Any, ttl: float | None = None) -> None:
        """Keep a value under a key, in the place of whatever is there or on its way.

        Args:
            key: as for :meth:`get`.
            value: to keep.
            ttl: its time to live in seconds, 0 to keep it not at all; None for that of the options.

        Raises:
            OptionsError: ``ttl`` is no such number.
            TypeError: no key can be made of ``key``.
        """
        if not _TTL.accepts(ttl):
            raise OptionsError("put", [f"ttl={ttl!r} is not allowed, it takes {_TTL.words}"])
        key = canonical(key)
        options = self._options
        result = self._shelf.keep(key, value, options, 0.0, None, ttl)
        if result.ttl == 0:
            self._shelf.remove(key)
        self._behind.set(key, value, result.ttl, 0.0, options)

    def invalidate(self, key: Any) -> bool:
        """Forget what is kept under a key, and do not keep what is on its way.

        The second tier is told in the background, where an event loop runs; its entry is not believed here from now on in any case.

        Returns:
            whether there was an entry.

        Raises:
            TypeError: no key can be made of it.
        """
        key = canonical(key)
        self._behind.remove(key)
        return self._shelf.remove(key)

    def clear(self) -> None:
        """Forget everything, as :meth:`invalidate` does."""
        self._behind.clear()
        self._shelf.clear()

    def key_for(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Key:
        """The key of a call, for :meth:`get`, :meth:`put` and :meth:`invalidate`.

        Raises:
            TypeError: an argument is no immutable value, and the options have no ``key``.
        """
        key_of = self._key_of
        return handed_out(call_key(function, args, kwargs) if key_of is None else canonical(key_of(*args, **kwargs)))

    def snapshot(self) -> CacheSnapshot:
        """State and statistics now."""
        shelf = self._shelf
        shelf.purge()
        hits, stale, misses = shelf.hits.value, shelf.stale_served.value, shelf.misses.value
        coalesced, from_tier = shelf.coalesced.value, self._behind.hits.value
        saved = hits + stale + coalesced + from_tier
        return CacheSnapshot(
            entries=len(shelf.entries),
            bytes=shelf.entries.bytes,
            in_flight=len(self._shared),
            hits=hits,
            misses=misses,
            coalesced=coalesced,
            stale_served=stale,
            hit_rate=saved / (saved + misses) if saved else 0.0,
            refreshes=shelf.refreshes.value,
            refresh_failures=shelf.refresh_failures.value,
            evictions=shelf.evictions.value,
            expirations=shelf.expirations,
            not_cached=shelf.not_cached.value,
            tier=self._behind.state,
            tier_hits=from_tier,
            tier_errors=self._behind.errors.value,
        )
