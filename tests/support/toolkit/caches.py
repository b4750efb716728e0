"""Caches in tests."""

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import ManualClock


def text(query, *rest, **also):
    return query


def make(clock=None, **options):
    pipeline = Pipeline("search", Cache(**{"key": text, **options}), clock=clock or ManualClock())
    return pipeline, pipeline["cache"]


def listen(pipeline, *kinds):
    heard = []
    pipeline.subscribe(heard.append, *kinds)
    return heard
