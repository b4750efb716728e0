"""``StateStore``, where the circuit breakers of all replicas leave word: in memory, and on a real Valkey."""

import asyncio

import pytest

from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.state import ValkeyStateStore
from sengol_api.resilience import CircuitBreaker, CircuitState, InMemoryStore, Pipeline, SharedBreakers
from sengol_api.resilience.testing import ManualClock
from support.patience import eventually

pytest_plugins = ["support.fixtures"]


class InMemory:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self._store = InMemoryStore(self.clock)

    def store(self):
        return self._store

    async def run_out(self, store, key, seconds):
        self.clock.advance(seconds)

    async def close(self) -> None:
        pass


class OnValkey:
    def __init__(self, server) -> None:
        self._server = server
        self._clients = []

    def store(self):
        self._clients.append(client := ValkeyClient(self._server.url))
        return ValkeyStateStore(client)

    async def run_out(self, store, key, seconds):
        async def gone():
            return await store.get(key) is None

        await eventually(gone)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.valkey)])
async def world(request):
    made = InMemory() if request.param == "memory" else OnValkey(request.getfixturevalue("empty_valkey"))
    yield made
    await made.close()


async def test_what_one_replica_leaves_the_others_find_until_it_is_taken_back(world):
    one, two = world.store(), world.store()
    assert await two.get("breaker:a") is None
    await one.set("breaker:a", b"\x00open\xff", 12.5)
    assert await two.get("breaker:a") == b"\x00open\xff"
    await two.set("breaker:a", b"closed", 12.5)
    assert await one.get("breaker:a") == b"closed"
    assert await one.get("breaker:b") is None
    await one.delete("breaker:a")
    await one.delete("breaker:a")
    assert await two.get("breaker:a") is None


async def test_word_runs_out(world):
    store = world.store()
    await store.set("breaker:a", b"open", 0.0415)
    await world.run_out(store, "breaker:a", 0.05)
    assert await store.get("breaker:a") is None


async def test_word_without_time_is_not_kept(world):
    store = world.store()
    await store.set("breaker:a", b"open", 10.0)
    await store.set("breaker:a", b"open", 0.0)
    assert await store.get("breaker:a") is None


async def test_a_breaker_that_opens_here_opens_there(world):
    async def failing():
        raise ConnectionError

    replicas = [Pipeline("search", CircuitBreaker(failure_threshold=1)) for _ in range(2)]
    shared = [SharedBreakers(world.store(), each["circuit_breaker"]) for each in replicas]
    with pytest.raises(ConnectionError):
        await replicas[0].call(failing)
    for each in shared:
        await each.exchange()
    assert [each["circuit_breaker"].state for each in replicas] == [CircuitState.OPEN] * 2
    assert [each.snapshot().alone for each in shared] == [False, False]


@pytest.mark.valkey
async def test_while_the_server_is_frozen_rounds_end_and_each_replica_decides_alone(valkey):
    client = ValkeyClient(valkey.url)
    breaker = Pipeline("search", CircuitBreaker())["circuit_breaker"]
    shared = SharedBreakers(ValkeyStateStore(client), breaker, timeout=0.05)
    await shared.exchange()
    assert not shared.snapshot().alone
    valkey.freeze()
    async with asyncio.timeout(20):
        await shared.exchange()
    assert shared.snapshot().alone
    valkey.thaw()

    async def together():
        await shared.exchange()
        return not shared.snapshot().alone

    await eventually(together)
    await client.aclose()
