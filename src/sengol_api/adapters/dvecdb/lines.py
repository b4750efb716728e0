"""The pipelines around the calls of one server: what is tried again, cut, refused, shared and kept."""

from typing import Any, Final, TypeAlias

import msgspec

from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.own_limits import with_own_limits
from sengol_api.resilience import Bulkhead, Cache, Clock, Pipeline, Registry, Retry, Timeout
from sengol_api.resilience.breaker.policy import CircuitBreakerPolicy

Found: TypeAlias = tuple[tuple[str, float], ...]
"""Ids with their cosine distances, nearest first. What the cache keeps: nobody can change it, so a hit is handed out as it is."""

HOUR: Final = 3600.0
DAY: Final = 86_400.0
CACHE: Final = Cache(max_entries=1000, ttl=HOUR, stale_if_error=DAY)
"""The cache's options when none are given."""

_found = msgspec.json.Decoder(Found)


class Lines:
    """Pipelines of one client, with one circuit breaker: they lead to the same server.

    Args:
        options: of the client.
        cache: options of the cache; None for none.
        name: of the first pipeline; the others begin with it.
        clock: whose time counts.
        registry: where they are entered.

    Attributes:
        reads: searches.
        writes: everything else, one at a time.
        cache: around whole searches; None without one.
    """

    def __init__(self, options: DvecdbOptions, cache: Cache | None, *, name: str, clock: Clock, registry: Registry) -> None:
        self._registry = registry
        self.reads = Pipeline(
            name,
            Retry(max_retries=options.max_retries),
            options.breaker,
            Bulkhead(max_concurrent=options.max_concurrent, max_queue=options.max_queue),
            Timeout(options.timeout),
            *([] if options.adaptive is None else [options.adaptive.up_to(options.timeout)]),
            clock=clock,
        )
        self.breaker: CircuitBreakerPolicy = self.reads["circuit_breaker"]
        self.writes = Pipeline(
            f"{name}.writes",
            Retry(max_retries=options.max_retries),
            self.breaker,
            Bulkhead(max_concurrent=1, max_queue=options.max_queue),
            Timeout(options.timeout),
            clock=clock,
        )
        self.cache = None if cache is None else Pipeline(f"{name}.cache", _of_searches(cache), clock=clock)
        self._all = [each for each in (self.reads, self.writes, self.cache) if each is not None]
        self.enter()

    def reads_for(self, timeout: float | None, max_retries: int | None) -> Pipeline:
        """The pipeline of a search, with a time limit or retries of its own where it has some: all state and statistics the same.

        Raises:
            OptionsError: one of them is out of range.
        """
        return with_own_limits(self.reads, timeout, max_retries)

    def enter(self) -> None:
        """Enter the pipelines into the registry, where they are not yet.

        Raises:
            OptionsError: another pipeline has a name of theirs.
        """
        for each in self._all:
            if each.name not in self._registry or self._registry[each.name] is not each:
                self._registry.add(each)

    def leave(self) -> None:
        """Take them out again, so that a later client can have their names."""
        for each in self._all:
            if each.name in self._registry and self._registry[each.name] is each:
                self._registry.remove(each.name)


def _of_searches(cache: Cache) -> Cache:
    """The options with what this cache holds filled in."""
    own: dict[str, Any] = {"key": lambda asked: asked.key, "encode": msgspec.json.encode, "decode": _found.decode}
    return cache.changed(**own)
