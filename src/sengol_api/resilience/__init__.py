"""Resilience toolkit: policies around calls that can fail. Standard library only; knows nothing of HTTP, vendors or the service.

::

    search = Pipeline("dvecdb", Retry(), CircuitBreaker(), Bulkhead(), Timeout(5.0))
    with deadline(2.0):
        hits = await search.call(client.query, vector, k=20)
"""

from sengol_api.resilience.adaptive.aimd import Aimd
from sengol_api.resilience.adaptive.gradient2 import Gradient2
from sengol_api.resilience.adaptive.occupancy import Occupancy
from sengol_api.resilience.adaptive.policy import AdaptiveLimit, LimitChanged
from sengol_api.resilience.adaptive.station import Station
from sengol_api.resilience.adaptive.vegas import Vegas
from sengol_api.resilience.adaptive_timeout import AdaptiveTimeout, LimitMoved
from sengol_api.resilience.admission.policy import Admission, OverloadBegan, OverloadEnded
from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.breaker.sharing import InMemoryStore, SharedBreakers, StateStore
from sengol_api.resilience.breaker.states import CircuitChanged, CircuitState
from sengol_api.resilience.budget import RetryBudget
from sengol_api.resilience.bulkhead import Bulkhead
from sengol_api.resilience.cache.keys import cache_key
from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import CacheSource, cache_outcome, skip_cache
from sengol_api.resilience.cache.states import Evicted, NotCached, RefreshFailed, StaleServed, TierFailed
from sengol_api.resilience.cache.tier import InMemoryTier, Tier
from sengol_api.resilience.chaos import Chaos, ChaosInjected
from sengol_api.resilience.clock import Clock
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
from sengol_api.resilience.events import CallRejected, Event
from sengol_api.resilience.fallback import Fallback, FellBack, NothingServed
from sengol_api.resilience.hedge import Hedge, HedgeStarted, HedgeWon
from sengol_api.resilience.hints import seconds_to_wait
from sengol_api.resilience.history import Attempt, attempts_of
from sengol_api.resilience.instrument import Instrument
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.policy import Policy, PolicyOptions
from sengol_api.resilience.priority import Priority, current_priority, priority
from sengol_api.resilience.rate.gcra import Decision
from sengol_api.resilience.rate.policy import RateLimit
from sengol_api.resilience.rate.shared import RateStoreBack, RateStoreLost
from sengol_api.resilience.rate.store import InMemoryRateStore, RateStore
from sengol_api.resilience.registry import Registry
from sengol_api.resilience.retry import Retry, RetryGaveUp, Retrying
from sengol_api.resilience.served import Served, fallback_errors
from sengol_api.resilience.timeout import AttemptLate, AttemptTimedOut, Timeout
from sengol_api.resilience.transient import by_attribute, is_failure, is_transient

__all__ = [
    "AdaptiveLimit",
    "AdaptiveTimeout",
    "Admission",
    "Aimd",
    "Attempt",
    "AttemptLate",
    "AttemptTimedOut",
    "Bulkhead",
    "BulkheadFull",
    "Cache",
    "CacheSource",
    "CallRejected",
    "Chaos",
    "ChaosInjected",
    "CircuitBreaker",
    "CircuitChanged",
    "CircuitOpen",
    "CircuitState",
    "Clock",
    "DeadlineExceeded",
    "Decision",
    "Event",
    "Evicted",
    "Fallback",
    "FellBack",
    "Gradient2",
    "Hedge",
    "HedgeStarted",
    "HedgeWon",
    "InMemoryRateStore",
    "InMemoryStore",
    "InMemoryTier",
    "Instrument",
    "LimitChanged",
    "LimitMoved",
    "NotCached",
    "NothingServed",
    "Occupancy",
    "OptionsError",
    "OverloadBegan",
    "OverloadEnded",
    "Overloaded",
    "Pipeline",
    "Policy",
    "PolicyOptions",
    "Priority",
    "RateLimit",
    "RateLimited",
    "RateStore",
    "RateStoreBack",
    "RateStoreLost",
    "RefreshFailed",
    "Registry",
    "Rejected",
    "Retry",
    "RetryBudget",
    "RetryGaveUp",
    "Retrying",
    "Served",
    "SharedBreakers",
    "StaleServed",
    "StateStore",
    "Station",
    "Tier",
    "TierFailed",
    "TimedOut",
    "Timeout",
    "Vegas",
    "attempts_of",
    "by_attribute",
    "cache_key",
    "cache_outcome",
    "current_priority",
    "deadline",
    "fallback_errors",
    "is_failure",
    "is_transient",
    "priority",
    "remaining",
    "seconds_to_wait",
    "skip_cache",
]
