"""A second tier that tells what it was asked."""

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.tier import InMemoryTier
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import Script
from support.toolkit.tasks import settle


class Tier(InMemoryTier):
    """Remembers what it was asked, and raises where it is told to."""

    def __init__(self, clock, *raising, error=ConnectionError):
        super().__init__(clock)
        self.raising = raising
        self.error = error
        self.asked = []

    def _asked(self, operation):
        self.asked.append(operation)
        if operation in self.raising:
            raise self.error

    async def get(self, key):
        self._asked("get")
        return await super().get(key)

    async def set(self, key, value, ttl):
        self._asked("set")
        await super().set(key, value, ttl)

    async def delete(self, key):
        self._asked("delete")
        await super().delete(key)

    async def clear(self):
        self._asked("clear")
        await super().clear()


def replica(loop, tier, **options):
    pipeline = Pipeline("search", Cache(**{"key": lambda query: query, "ttl": 100.0, "tier": tier, **options}), clock=loop)
    return pipeline, pipeline["cache"]


async def ask(pipeline, step, query="a"):
    result = await pipeline.call(Script(step), query)
    await settle()
    return result
