"""What a cache holds and counts: results become entries, entries become answers. Makes no calls."""

import threading
from collections.abc import Callable
from typing import Any

from sengol_api.resilience.cache.answers import Answer, Result
from sengol_api.resilience.cache.coalescing import Claim, SharedCall, SharedCalls
from sengol_api.resilience.cache.copies import Copy, pack
from sengol_api.resilience.cache.keys import Key
from sengol_api.resilience.cache.lru import Entries, Entry
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import CacheSource
from sengol_api.resilience.cache.sizes import size_in_memory
from sengol_api.resilience.cache.states import Evicted, NotCached, RefreshFailed, StaleServed
from sengol_api.resilience.cache.xfetch import is_due, sure_until
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.events import report
from sengol_api.resilience.options import at_least, whole
from sengol_api.resilience.policy import Site

_SECONDS = at_least(0)
_BYTES = whole(0)


class Shelf:
    """The entries of a cache and its statistics.

    Args:
        options: at the start.
        site: of the cache.
        calls: that are under way, whose results an invalidation makes worthless.
        emit: tells the listeners.
    """

    def __init__(self, options: Cache, site: Site, calls: SharedCalls, emit: Callable[..., None]) -> None:
        self.site = site
        self.entries = Entries(options.max_entries, options.max_bytes)
        self._calls = calls
        self._emit = emit
        self._writing = threading.Lock()  # to see that a result is still worth keeping, and to keep it, is one step
        self.hits = Counter()
        self.stale_served = Counter()
        self.evictions = Counter()
        self.expirations = 0
        self.not_cached = Counter()
        self.misses = Counter()
        self.coalesced = Counter()
        self.refreshes = Counter()
        self.refresh_failures = Counter()

    # From the shelf

    def look(self, key: Key, options: Cache) -> tuple[Entry, bool] | None:
        """An entry that may be served at once, and whether it is to be refreshed."""
        entry = self.entries.find(key)
        if entry is None:
            return None
        now = self.site.clock.now()
        if now < entry.fresh_until:
            return entry, is_due(now, entry.fresh_until, entry.took, options.early_refresh, self.site.random)
        return (entry, True) if now < entry.fresh_until + options.stale_while_revalidate else None

    def rescue(self, key: Key, options: Cache, error: Exception) -> Answer | None:
        """The answer to a call that failed, inside the window of ``stale_if_error``."""
        entry = self.entries.find(key)
        if entry is None or options.stale_if_error == 0 or self.site.clock.now() >= entry.fresh_until + options.stale_if_error:
            return None
        return self.serve(key, entry, error)

    def serve(self, key: Key, entry: Entry, error: Exception | None = None) -> Answer | None:
        """Hand an entry out; None when no copy can be made of it, which removes it."""
        try:
            value = entry.value()
        except Exception as failure:  # noqa: BLE001 - a class that can be pickled and not unpickled: as if it had not been kept
            self.entries.remove(key)
            self._refuse(key, "copy", failure)
            return None
        self.touch(key)
        now = self.site.clock.now()
        age = max(0.0, now - entry.stored_at)
        if now < entry.fresh_until:
            self.hits.add()
            return Answer(value, CacheSource.FRESH, age)
        self.stale_served.add()
        self._emit(StaleServed, key=key, age=age, error=error)
        return Answer(value, CacheSource.STALE, age)

    def touch(self, key: Key) -> None:
        """An entry was used."""
        try:  # noqa: SIM105 - suppress() would cost more than all the rest
            self.entries.touch(key)
        except KeyError:  # another thread has just removed it; what it held is as good as it was
            pass

    def taken(self, shared: SharedCall, *, starts: bool) -> Answer | None:
        """What a shared call has for a caller; None if it has nothing that can be shared.

        Args:
            shared: the call, which has ended.
            starts: whether this caller started it.

        Raises:
            Exception: what the call raised.
        """
        result: Result | None = shared.result
        error = shared.failure()
        del shared
        if error is not None:
            (self.misses if starts else self.coalesced).add()
            try:
                raise error
            finally:
                del error  # the traceback has this frame
        answer = None if result is None else result.answer if starts else result.copied()
        if answer is None or answer.source is CacheSource.MISS:
            self.misses.add()
        elif answer.source is CacheSource.COALESCED:
            self.coalesced.add()
        return answer

    def renewal_failed(self, key: Key, error: Exception) -> None:
        """A value could not be made anew."""
        self.refresh_failures.add()
        self._emit(RefreshFailed, key=key, error=error)

    # Onto the shelf

    def keep(self, key: Key, value: Any, options: Cache, took: float, claim: Claim | None, ttl: float | None = None) -> Result:
        """Keep a value, if it can be kept.

        Args:
            key: of the call.
            value: its result.
            options: in force.
            took: seconds that it took to make.
            claim: of the call that gave it; None for a value that replaces whatever is under way.
            ttl: its time to live in seconds; None to find out.
        """
        answer = Answer(value, CacheSource.MISS)
        try:
            held, thaw = pack(value, options.copy)
        except Exception as error:  # noqa: BLE001 - the caller gets the result, whether it can be kept or not
            self._refuse(key, "copy", error)
            return Result(answer)
        if ttl is None:
            ttl = self._ttl(key, value, options)
        kept = ttl > 0 and self.store(key, held, thaw, options, ttl, took=took, value=value, claim=claim)
        return Result(answer, held, thaw, shareable=True, ttl=ttl if kept else 0.0)

    def store(
        self,
        key: Key,
        held: Any,
        thaw: Copy | None,
        options: Cache,
        ttl: float,
        *,
        took: float,
        value: Any,
        claim: Claim | None,
        age: float = 0.0,
    ) -> bool:
        """Put a packed value on the shelf; whether there is room for it and it is still wanted."""
        size = self._size(key, value, held, options)
        if size is None:
            return False
        if not self.entries.fits(size):
            self._refuse(key, "too large", None)
            return False
        now = self.site.clock.now()
        fresh_until = now - age + ttl
        entry = Entry(
            held,
            thaw,
            size=size,
            stored_at=now - age,
            fresh_until=fresh_until,
            sure_until=sure_until(fresh_until, took, options.early_refresh),
            gone_at=fresh_until + max(options.stale_while_revalidate, options.stale_if_error),
            took=took,
        )
        with self._writing:
            if claim is None:
                self._calls.supersede(key)
            elif claim.superseded:
                return False
            self._purge(now)
            evicted = self.entries.put(key, entry)
        self._evicted(evicted)
        return True

    def _ttl(self, key: Key, value: Any, options: Cache) -> float:
        if options.ttl_of is None:
            return options.ttl
        ttl = self._ask(key, "ttl", options.ttl_of, value)
        if ttl is _RAISED:
            return 0.0
        if ttl is None:
            return options.ttl
        if not _SECONDS.accepts(ttl):
            self._refuse(key, "ttl", ValueError(f"ttl_of gave {ttl!r}, it takes {_SECONDS.words}, or None"))
            return 0.0
        return float(ttl)

    def _size(self, key: Key, value: Any, held: Any, options: Cache) -> int | None:
        if options.size_of is None:
            return len(held) if type(held) is bytes else size_in_memory(held)
        size = self._ask(key, "size", options.size_of, value)
        if size is _RAISED:
            return None
        if not _BYTES.accepts(size):
            self._refuse(key, "size", ValueError(f"size_of gave {size!r}, it takes {_BYTES.words}"))
            return None
        return int(size)

    def _ask(self, key: Key, reason: str, function: Callable[[Any], Any], value: Any) -> Any:
        try:
            return function(value)
        except Exception as error:  # noqa: BLE001 - the caller shall get the result
            report(error, f"a function of the cache of pipeline {self.site.pipeline!r} raised", function)
            self._refuse(key, reason, error)
            return _RAISED

    def _refuse(self, key: Key, reason: str, error: Exception | None) -> None:
        self.not_cached.add()
        self._emit(NotCached, key=key, reason=reason, error=error)

    # Off the shelf

    def remove(self, key: Key) -> bool:
        """Drop an entry, and what is under way for it; whether there was one."""
        with self._writing:
            self._calls.supersede(key)
            return self.entries.remove(key)

    def clear(self) -> None:
        """Drop all entries, and what is under way for any."""
        with self._writing:
            self._calls.supersede_all()
            self.entries.clear()

    def purge(self) -> None:
        """Drop what has ended."""
        with self._writing:
            self._purge(self.site.clock.now())

    def _purge(self, now: float) -> None:
        self.expirations += self.entries.purge(now)

    def resize(self, options: Cache) -> None:
        """Keep to other bounds."""
        self._evicted(self.entries.resize(options.max_entries, options.max_bytes))

    def _evicted(self, gone: list[tuple[Key, Entry]]) -> None:
        for key, entry in gone:
            self.evictions.add()
            self._emit(Evicted, key=key, size=entry.size)


_RAISED = object()
