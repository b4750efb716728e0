"""What a cache tells: its events and its snapshot."""

from dataclasses import dataclass

from sengol_api.resilience.cache.keys import Key
from sengol_api.resilience.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleServed(Event):
    """A value past its time to live was served.

    Attributes:
        key: of the entry.
        age: seconds since its value was made.
        error: what the call for a new one raised; None when one is made in the background.
    """

    key: Key
    age: float
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshFailed(Event):
    """A value was to be made anew, and could not be; the old one stays.

    Attributes:
        key: of the entry.
        error: what the call raised.
    """

    key: Key
    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted(Event):
    """An entry had to go before its time, for newer ones.

    Attributes:
        key: of the entry.
        size: its bytes.
    """

    key: Key
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCached(Event):
    """A result was returned to its caller, but could not be kept.

    Attributes:
        key: of the call.
        reason: ``copy`` (it cannot be copied), ``ttl`` or ``size`` (the function for it raised, or gave no such number), or
            ``too large``.
        error: what was raised, if anything was.
    """

    key: Key
    reason: str
    error: Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierFailed(Event):
    """An access to the second tier failed; the call went on without it.

    Attributes:
        operation: ``get``, ``set``, ``delete`` or ``clear``.
        error: what went wrong.
    """

    operation: str
    error: Exception


@dataclass(frozen=True, slots=True)
class CacheSnapshot:
    """State and statistics of a cache.

    Attributes:
        entries: that it holds.
        bytes: size of their values.
        in_flight: shared calls that are under way.
        hits: calls, and looks by ``get``, that a fresh value answered.
        misses: those that found none, or were told to skip the cache.
        coalesced: calls that shared one that was under way.
        stale_served: calls that a stale value answered.
        hit_rate: share of all that needed no call of their own; 0 before the first.
        refreshes: calls made to replace a value that could still be served.
        refresh_failures: those of them that failed.
        evictions: entries that had to go for newer ones.
        expirations: entries that were removed because their time was over.
        not_cached: results that could not be kept.
        tier: state of the second tier: CLOSED while it is read, OPEN while it is left alone; None without one.
        tier_hits: calls that the second tier answered.
        tier_errors: accesses to it that failed.
    """

    entries: int
    bytes: int
    in_flight: int
    hits: int
    misses: int
    coalesced: int
    stale_served: int
    hit_rate: float
    refreshes: int
    refresh_failures: int
    evictions: int
    expirations: int
    not_cached: int
    tier: str | None
    tier_hits: int
    tier_errors: int
