"""``Tier``, the store behind the caches of all replicas: in memory, and on a real Valkey."""

import pytest

from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.tier import ValkeyTier
from sengol_api.resilience import InMemoryTier
from sengol_api.resilience.testing import ManualClock
from support.patience import eventually

pytest_plugins = ["support.fixtures"]


class InMemory:
    """The toolkit's own, with the time in the test's hand."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._shared = InMemoryTier(self.clock)

    def tier(self):
        """As one replica sees it."""
        return self._shared

    async def run_out(self, tier, key, seconds):
        self.clock.advance(seconds)

    async def close(self) -> None:
        pass


class OnValkey:
    """Each replica with a client of its own."""

    def __init__(self, server) -> None:
        self._server = server
        self._clients = []

    def tier(self):
        self._clients.append(client := ValkeyClient(self._server.url))
        return ValkeyTier(client)

    async def run_out(self, tier, key, seconds):
        async def gone():
            return await tier.get(key) is None

        await eventually(gone)

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.valkey)])
async def world(request):
    made = InMemory() if request.param == "memory" else OnValkey(request.getfixturevalue("empty_valkey"))
    yield made
    await made.close()


@pytest.mark.parametrize("value", [b"", b"x", b"\x00\r\n\xff$5\r\n", bytes(range(256)) * 4096], ids=["empty", "x", "binary", "MiB"])
@pytest.mark.parametrize("key", ["a", "", "search:0a1b", "with space\r\nand line", "ключ-鍵", "*?[a]\\"])
async def test_what_was_set_is_got_whatever_bytes_it_is(world, key, value):
    tier = world.tier()
    await tier.set(key, value, 100.0)
    assert await tier.get(key) == value
    assert await world.tier().get(key) == value


async def test_nothing_was_set_means_nothing_is_there(world):
    assert await world.tier().get("a") is None


async def test_a_later_value_replaces_an_earlier_one(world):
    one, two = world.tier(), world.tier()
    await one.set("a", b"1", 100.0)
    await two.set("a", b"2", 100.0)
    assert await one.get("a") == b"2"


async def test_a_value_is_gone_after_its_time(world):
    tier = world.tier()
    await tier.set("a", b"1", 0.05)
    await tier.set("b", b"2", 100.0)
    await world.run_out(tier, "a", 0.06)
    assert await tier.get("a") is None
    assert await tier.get("b") == b"2"


@pytest.mark.parametrize("ttl", [1e-9, 0.0009, 3600.5, 1e12, float("inf")])
async def test_any_time_to_live_can_be_given(world, ttl):
    await world.tier().set("a", b"1", ttl)
    if ttl > 1:
        assert await world.tier().get("a") == b"1"


@pytest.mark.parametrize("ttl", [0.0, -1.0])
async def test_a_value_without_time_to_live_is_not_there_and_replaces_what_was(world, ttl):
    tier = world.tier()
    await tier.set("a", b"1", 100.0)
    await tier.set("a", b"2", ttl)
    assert await tier.get("a") is None


async def test_a_deleted_value_is_gone_and_the_others_are_not(world):
    tier = world.tier()
    await tier.set("a", b"1", 100.0)
    await tier.set("b", b"2", 100.0)
    await tier.delete("a")
    await tier.delete("never")
    assert (await tier.get("a"), await tier.get("b")) == (None, b"2")


async def test_cleared_by_one_replica_it_is_empty_for_all_and_can_be_filled_again(world):
    one, two = world.tier(), world.tier()
    for key in ("a", "b"):
        await one.set(key, b"1", 100.0)
    assert await two.get("a") == b"1"
    await one.clear()
    assert [await each.get(key) for each in (one, two) for key in ("a", "b")] == [None] * 4
    await two.set("a", b"2", 100.0)
    await one.set("b", b"3", 100.0)
    assert [await each.get(key) for each in (one, two) for key in ("a", "b")] == [b"2", b"3"] * 2
