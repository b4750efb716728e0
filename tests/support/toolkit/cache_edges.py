"""Callers of a cache, of either kind."""

import random

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.scope import cache_outcome
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.testing import Script, VirtualLoop


class Unlucky(random.Random):
    """Chance at its most eager: if anything can be refreshed early, it is."""

    def random(self):
        return 1.0 - 2.0**-53


class Caller:
    """A cache on virtual time that is asked in one of the two ways."""

    def __init__(self, kind, **options):
        self.kind = kind
        self.loop = VirtualLoop()
        options = {"key": lambda query: query, "ttl": 10.0, **options}
        self.pipeline = Pipeline("search", Cache(**options), clock=self.loop, random=Unlucky())
        self.cache = self.pipeline["cache"]

    def call(self, *steps, query="a"):
        """The outcome of a call; with what it gave."""
        upstream = Script(*steps)
        outcome = None
        try:
            if self.kind == "sync":
                with cache_outcome() as outcome:
                    value = self.pipeline.call_sync(upstream.sync, query)
            else:
                outcome, value = self.loop.run_until_complete(self._called(upstream, query))
        finally:
            self.outcome = outcome
        return value

    async def _called(self, upstream, query):
        with cache_outcome() as outcome:
            return outcome, await self.pipeline.call(upstream, query)

    def close(self):
        self.loop.close()
