"""Caches with a second tier, in tests."""

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.states import TierFailed
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import Script


def replica(loop, tier, **options):
    pipeline = Pipeline("search", Cache(**{"key": lambda query: query, "ttl": 100.0, "tier": tier, **options}), clock=loop)
    events = []
    pipeline.subscribe(events.append, TierFailed)
    return pipeline, pipeline["cache"], events


class Scripted:
    """A tier whose every access follows a script."""

    def __init__(self, *steps):
        self.script = Script(*steps)

    async def get(self, key):
        return await self.script("get", key)

    async def set(self, key, value, ttl):
        await self.script("set", key, value, ttl)

    async def delete(self, key):
        await self.script("delete", key)

    async def clear(self):
        await self.script("clear")

    def count(self, operation):
        return sum(args[0] == operation for args, _ in self.script.calls)
