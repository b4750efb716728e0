"""Options of the client, each with its range, unit and meaning."""

import re
from dataclasses import dataclass
from typing import Final

from sengol_api.resilience.adaptive_timeout import AdaptiveTimeout
from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.options import Allowed, Options, above, at_least, instance, option, whole

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Of a collection: d-vecDB takes the name for a path, so a slash could remove any folder."""

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")

_HOST_NAME = Allowed(
    "a host name or an IP address, without scheme, port or path",
    lambda value: isinstance(value, str) and _HOST.fullmatch(value) is not None,
)
_COLLECTION_NAME = Allowed(
    "up to 64 letters, digits, _ and -", lambda value: isinstance(value, str) and NAME.fullmatch(value) is not None
)


@dataclass(frozen=True, kw_only=True)
class DvecdbOptions(Options):
    """Where d-vecDB is, and how the client deals with it."""

    host: str = option("localhost", _HOST_NAME, "host of the server")
    port: int = option(8080, whole(1, 65_535), "port of its REST interface")
    collection: str = option(
        "incidents", _COLLECTION_NAME, "name of the index; the collections in the server are named after it, one for each state"
    )
    dimension: int = option(..., whole(1, 65_536), "numbers per vector")
    timeout: float = option(30.0, above(0), "time per attempt", "s")
    adaptive: AdaptiveTimeout | None = option(
        None,
        instance(AdaptiveTimeout).or_none(),
        "a shorter limit for searches, which follows what they took of late; None: timeout alone",
    )
    max_retries: int = option(3, whole(0, 20), "attempts after the first one")
    breaker: CircuitBreaker = option(
        CircuitBreaker(),
        instance(CircuitBreaker),
        "circuit breaker that all calls to the server share; its options are the toolkit's",
    )
    max_concurrent: int = option(16, whole(1, 1024), "searches that may be under way at once; each has a connection")
    max_queue: int = option(1024, whole(0), "searches that may wait for a place; one more is refused")
    batch_concurrency: int = option(8, whole(1, 1024), "searches that one batch has under way at once")
    max_candidates: int = option(
        1000, whole(100, 100_000), "most candidates that a search asks for; an answer that would need more is made exactly here"
    )
    insert_batch: int = option(50, whole(1, 50), "most vectors per insert")
    insert_time: float = option(
        0.25, above(0), "time that an insert should block the server for at most; batches shrink and grow to keep to it", "s"
    )
    insert_pause: float = option(1.0, at_least(0), "pause after an insert, as a multiple of the time that it took")
    check_interval: float = option(30.0, above(0), "time between two looks at whether the index is still what the records are", "s")
    drop_after: float = option(
        3600.0, above(0), "time after which collections of this index that another process has left behind are removed", "s"
    )
    health_timeout: float = option(5.0, above(0), "time that a health check takes at most", "s")
