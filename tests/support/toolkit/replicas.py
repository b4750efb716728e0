"""Replicas whose breakers are shared, and stores that tests look into."""

import json

import pytest

from sengol_api.resilience import CircuitBreaker, Pipeline
from sengol_api.resilience.breaker.sharing import InMemoryStore, SharedBreakers
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import Script, run_virtual

KEY = "breaker:upstream/circuit_breaker"


class Replica:
    """One process of the service: its own pipeline, its own view of the store."""

    def __init__(self, store, loop, **options):
        self.pipeline = Pipeline(
            "upstream", CircuitBreaker(**{"failure_threshold": 2, "success_threshold": 1, **options}), clock=loop
        )
        self.breaker = self.pipeline["circuit_breaker"]
        self.shared = SharedBreakers(store, self.breaker, clock=loop)
        self.changes = []
        self.pipeline.subscribe(self.changes.append, CircuitChanged)

    async def fail(self, times=2):
        for _ in range(times):
            with pytest.raises(ConnectionError):
                await self.pipeline.call(Script(ConnectionError))

    async def succeed(self):
        assert await self.pipeline.call(Script("well")) == "well"

    async def exchange(self):
        await self.shared.exchange()

    @property
    def state(self):
        return self.breaker.state

    @property
    def left(self):
        return self.breaker.snapshot().retry_after


class Watched(InMemoryStore):
    """A store that remembers what was asked of it."""

    def __init__(self, clock):
        super().__init__(clock)
        self.sets = []
        self.deletes = []

    async def set(self, key, value, ttl):
        self.sets.append((key, json.loads(value), ttl))
        await super().set(key, value, ttl)

    async def delete(self, key):
        self.deletes.append(key)
        await super().delete(key)


def two_replicas(body, store=Watched, **options):
    async def main(loop):
        shelf = store(loop)
        await body(loop, shelf, *(Replica(shelf, loop, **options) for _ in range(2)))

    run_virtual(main)
