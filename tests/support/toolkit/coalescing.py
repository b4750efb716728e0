"""Caches whose calls are shared."""

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.pipeline import Pipeline


def make(clock, *inside, **options):
    pipeline = Pipeline("search", Cache(**{"key": lambda query: query, **options}), *inside, clock=clock)
    return pipeline, pipeline["cache"]
