"""Resilience toolkit: policies around calls that can fail. Standard library only; knows nothing of HTTP, vendors or the service.

::

    search = Pipeline("dvecdb", Retry(), CircuitBreaker(), Bulkhead(), Timeout(5.0))
    with deadline(2.0):
        hits = await search.call(client.query, vector, k=20)
"""

from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.bulkhead import Bulkhead
from sengol_api.resilience.deadline import deadline, remaining
from sengol_api.resilience.errors import (
    BulkheadFull,
    CircuitOpen,
    DeadlineExceeded,
    OptionsError,
    Overloaded,
    RateLimited,
    Rejected,
    TimedOut,
)
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.retry import Retry
from sengol_api.resilience.timeout import Timeout

__all__ = [
    "Bulkhead",
    "BulkheadFull",
    "CircuitBreaker",
    "CircuitOpen",
    "DeadlineExceeded",
    "OptionsError",
    "Overloaded",
    "Pipeline",
    "RateLimited",
    "Rejected",
    "Retry",
    "TimedOut",
    "Timeout",
    "deadline",
    "remaining",
]
