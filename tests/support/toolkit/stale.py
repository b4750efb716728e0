"""Caches with stale values."""

from random import Random

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.states import RefreshFailed, StaleServed
from sengol_api.resilience.pipeline import Pipeline


def make(clock, *inside, random=None, **options):
    pipeline = Pipeline(
        "search", Cache(**{"key": lambda query: query, "ttl": 10.0, **options}), *inside, clock=clock, random=random or Random(1)
    )
    events = []
    pipeline.subscribe(events.append, StaleServed, RefreshFailed)
    return pipeline, pipeline["cache"], events
