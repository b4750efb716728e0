"""Options of the cache."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sengol_api.resilience.cache.envelope import from_json, to_json
from sengol_api.resilience.cache.tier import TIER, Tier
from sengol_api.resilience.options import FUNCTION, above, at_least, option, whole
from sengol_api.resilience.policy import PolicyOptions, Site

if TYPE_CHECKING:
    from sengol_api.resilience.cache.policy import CachePolicy


@dataclass(frozen=True)
class Cache(PolicyOptions):
    """Keeps results, 1000 of them, each for an hour; callers who ask for the same at the same time share one call."""

    kind: ClassVar[str] = "cache"

    max_entries: int = option(1000, whole(1), "entries; one more, and the least recently used goes")
    max_bytes: int | None = option(None, whole(1).or_none(), "size of all values together; None: as large as they are", "B")
    ttl: float = option(3600.0, above(0), "time to live of an entry", "s")
    ttl_of: Callable[[Any], float | None] | None = option(
        None, FUNCTION.or_none(), "time to live of a result, in seconds: None for the usual one, 0 to keep it not at all"
    )
    stale_while_revalidate: float = option(
        0.0, at_least(0), "time past its end in which a value is served while a new one is made", "s"
    )
    stale_if_error: float = option(0.0, at_least(0), "time past its end in which a value is served when the call fails", "s")
    early_refresh: float = option(
        0.0, at_least(0), "eagerness of early refreshes (beta of XFetch): 1 as a rule, above it earlier, 0 for none"
    )
    key: Callable[..., Any] | None = option(
        None, FUNCTION.or_none(), "key of a call, from its arguments; None: the function and its arguments, if they are immutable"
    )
    copy: Callable[[Any], Any] | None = option(
        None, FUNCTION.or_none(), "copies values that can be changed, on the way in and out; None: pickle, or else deepcopy"
    )
    size_of: Callable[[Any], int] | None = option(
        None, FUNCTION.or_none(), "bytes of a value; None: those of its pickle, or of the value in memory if that is what is kept"
    )
    tier: Tier | None = option(None, TIER.or_none(), "second tier behind this one, for coroutine functions; None for none")
    tier_timeout: float = option(0.05, above(0), "longest that the second tier may delay a call", "s")
    tier_failures: int = option(3, whole(1), "failures of the second tier in a row, after which it is left alone")
    tier_cooldown: float = option(10.0, above(0), "time for which it is left alone", "s")
    encode: Callable[[Any], bytes] = option(
        to_json, FUNCTION, "a value as bytes, for the second tier; one for which it raises stays local"
    )
    decode: Callable[[bytes], Any] = option(from_json, FUNCTION, "the value again")

    def contradictions(self) -> Iterator[str]:
        """Whoever encodes in a way of their own decodes in it too."""
        if (self.encode is to_json) != (self.decode is from_json):
            yield "encode and decode belong together: give both, or none"

    def build(self, site: Site) -> "CachePolicy":
        """The policy with these options at ``site``."""
        from sengol_api.resilience.cache.policy import CachePolicy

        return CachePolicy(self, site)
