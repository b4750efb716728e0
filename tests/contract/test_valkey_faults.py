"""A cache over a Valkey that is refused, frozen, slow, flushed, killed, full or filled with garbage: calls are answered, and right.

A call that had to wait for a frozen server would not end: that it ends is the bound. How long it takes is measured by the bench.
"""

import asyncio
import hashlib
import json
import pickle

import pytest

from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.rate import ValkeyRateStore
from sengol_api.adapters.valkey.tier import ValkeyTier
from sengol_api.resilience import Cache, Pipeline, RateLimit, RateLimited, TierFailed
from sengol_api.resilience.cache.envelope import Enclosed, seal, to_json
from sengol_api.resilience.cache.keys import name_of
from sengol_api.resilience.testing import ManualClock
from support.patience import eventually
from support.tcp_proxy import tcp_proxy

pytestmark = pytest.mark.valkey
pytest_plugins = ["support.fixtures"]

FAILURES = 3
COOLDOWN = 10.0
ENTRIES = "sengol:cache:entry:search:"


class Replica:
    """A pipeline with a cache before an upstream that counts its calls."""

    def __init__(self, url: str) -> None:
        self.client = ValkeyClient(url)
        self.clock = ManualClock()
        self.upstream = 0
        self.failed = []
        options = Cache(
            key=lambda query: query,
            tier=ValkeyTier(self.client),
            tier_failures=FAILURES,
            tier_cooldown=COOLDOWN,
            max_entries=1,  # next to nothing is answered from memory
        )
        self.pipeline = Pipeline("search", options, clock=self.clock)
        self.pipeline.subscribe(self.failed.append, TierFailed)

    async def ask(self, query):
        """The answer, which is always the query's own."""

        async def search(asked):
            self.upstream += 1
            return {"answer": asked}

        async with asyncio.timeout(20):
            assert await self.pipeline.call(search, query) == {"answer": query}

    async def ask_many(self, count, *, prefix="q"):
        for number in range(count):
            await self.ask(f"{prefix}{number}")
        await self.background()

    async def background(self):
        """Let what is written in the background arrive."""
        if others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others, timeout=20)

    @property
    def state(self):
        return self.pipeline["cache"].snapshot().tier


@pytest.fixture
async def replicas(valkey):
    made = []

    def make(url=None):
        made.append(replica := Replica(url or valkey.url))
        return replica

    yield make
    for each in made:
        await each.client.aclose()


@pytest.fixture(autouse=True)
def no_word_in_the_log(caplog):
    """Whatever happens to the server, nobody writes a line for it: the toolkit's events tell."""
    yield
    assert caplog.records == []


async def kept(valkey, count):
    async def there():
        return len(valkey.ask("KEYS", f"{ENTRIES}*")) == count

    await eventually(there)


async def test_what_one_replica_made_the_other_does_not_make_again(valkey, replicas):
    one, two = replicas(), replicas()
    await one.ask_many(5)
    await kept(valkey, 5)
    await two.ask_many(5)
    assert (one.upstream, two.upstream) == (5, 0)
    assert two.pipeline["cache"].snapshot().tier_hits == 5


async def test_refused_it_is_asked_a_few_times_and_then_left_alone(valkey, replicas):
    with tcp_proxy(valkey.port) as proxy:
        replica = replicas(f"redis://127.0.0.1:{proxy.port}")
        proxy.reset()  # accepts, so that attempts can be counted
        await replica.ask_many(30)
        assert replica.state == "OPEN"
        assert replica.upstream == 30
        attempts, failed = proxy.accepted, len(replica.failed)
        assert attempts <= 2 * FAILURES, "reads and writes have a breaker each"
        await replica.ask_many(30, prefix="more")
        assert (proxy.accepted, len(replica.failed)) == (attempts, failed)


async def test_killed_and_restarted_it_is_used_again_after_the_cooldown(valkey, replicas):
    replica = replicas()
    await replica.ask_many(3)
    valkey.kill()
    await replica.ask_many(10, prefix="down")
    assert replica.state == "OPEN"
    valkey.start()
    await replica.ask_many(3, prefix="still")
    assert valkey.ask("KEYS", "*") == [], "it is left alone until the cooldown is over"
    replica.clock.advance(COOLDOWN)
    await replica.ask_many(1, prefix="probe")
    await replica.ask_many(5, prefix="up")
    assert replica.state == "CLOSED"
    await kept(valkey, 6)
    before = replica.upstream
    await replica.ask_many(5, prefix="up")
    assert replica.upstream == before


async def test_frozen_it_holds_up_no_call_and_is_used_again_when_it_is_thawed(valkey, replicas):
    replica = replicas()
    await replica.ask_many(2)
    valkey.freeze()
    await replica.ask_many(20, prefix="frozen")
    assert replica.upstream == 22
    assert replica.state == "OPEN"
    failed = len(replica.failed)
    await replica.ask_many(20, prefix="still")
    assert len(replica.failed) == failed, "it is not even asked"
    valkey.thaw()
    replica.clock.advance(COOLDOWN)
    await replica.ask_many(3, prefix="thawed")
    assert replica.state == "CLOSED"


async def test_many_at_once_before_a_frozen_server_are_all_answered(valkey, replicas):
    replica = replicas()
    await replica.ask("first")
    valkey.freeze()
    await asyncio.gather(*(replica.ask(f"q{n}") for n in range(100)))
    assert replica.upstream == 101
    assert replica.state == "OPEN"
    valkey.thaw()


async def test_slow_it_is_left_alone(valkey, replicas):
    with tcp_proxy(valkey.port) as proxy:
        replica = replicas(f"redis://127.0.0.1:{proxy.port}")
        await replica.ask_many(2)
        proxy.delay(1.0)
        await replica.ask_many(10, prefix="slow")
        assert replica.upstream == 12
        assert replica.state == "OPEN"
        passed = proxy.passed["to_server"]
        await replica.ask_many(10, prefix="slower")
        assert proxy.passed["to_server"] == passed


async def test_flushed_it_is_filled_again(valkey, replicas):
    replica = replicas()
    await replica.ask_many(4)
    await kept(valkey, 4)
    valkey.flush()
    await replica.ask_many(4)
    assert (replica.upstream, replica.state) == (8, "CLOSED")
    await kept(valkey, 4)
    await replica.ask_many(4)
    assert replica.upstream == 8


async def test_full_it_takes_nothing_more_and_is_read_from_all_the_same(valkey, replicas):
    replica = replicas()
    await replica.ask_many(2, prefix="kept")
    await kept(valkey, 2)
    valkey.ask("CONFIG", "SET", "maxmemory", "1")
    await replica.ask_many(10)
    assert replica.upstream == 12
    assert replica.state == "CLOSED", "reading works"
    assert len(replica.failed) == FAILURES, "writing was given up"
    assert all("OOM: its memory is full" in str(each.error) for each in replica.failed)
    await replica.ask_many(2, prefix="kept")
    assert replica.upstream == 12


async def test_a_replica_that_takes_no_writes_is_read_from_all_the_same(valkey, replicas):
    replica = replicas()
    await replica.ask_many(2, prefix="kept")
    await kept(valkey, 2)
    valkey.ask("REPLICAOF", "127.0.0.1", "1")
    await replica.ask_many(10)
    assert (replica.upstream, replica.state) == (12, "CLOSED")
    assert {str(each.error).rpartition("with ")[2] for each in replica.failed} == {
        "READONLY: it is a replica: give the address of the primary"
    }
    await replica.ask_many(2, prefix="kept")
    assert replica.upstream == 12


def sealed(query, *, name=None, body=None, made_at=1_800_000_000.0):
    entry = Enclosed(to_json({"answer": query}) if body is None else body, made_at, 3600.0, 0.1)
    return seal(name or f"search:{name_of(query)}", entry)


def other_version(query):
    return sealed(query).replace(b"sengol-cache/1", b"sengol-cache/9", 1)


def flipped(query):
    whole = bytearray(sealed(query))
    whole[-1] ^= 1
    return bytes(whole)


def with_a_new_checksum(query):
    """Somebody who knows the format writes another's entry here."""
    return sealed("other", name="search:" + name_of("other"))


GARBAGE = {
    "empty": lambda query: b"",
    "short": lambda query: b"x",
    "text": lambda query: b"not an entry at all",
    "json": lambda query: json.dumps({"answer": "wrong"}).encode(),
    "pickle": lambda query: pickle.dumps({"answer": query}),
    "other-version": other_version,
    "flipped-bit": flipped,
    "cut-off": lambda query: sealed(query)[:-1],
    "longer": lambda query: sealed(query) + b"x",
    "entry-of-another": with_a_new_checksum,
    "undecodable": lambda query: sealed(query, body=b"\xff{"),
    "megabytes": lambda query: hashlib.sha256(query.encode()).digest() * 65_536,
}


async def test_an_entry_of_the_right_form_is_a_hit_wherever_it_comes_from(valkey, replicas):
    first = replicas()
    await first.ask_many(1, prefix="mark")
    await kept(valkey, 1)
    valkey.ask("SET", f"{ENTRIES}{name_of('q0')}", valkey.ask("GET", "sengol:cache:generation") + sealed("q0"))
    replica = replicas()
    await replica.ask_many(1)
    assert replica.upstream == 0


@pytest.mark.parametrize("make", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("marked", [True, False], ids=["this-generation", "no-generation"])
async def test_foreign_damaged_or_other_version_entries_are_misses(valkey, replicas, make, marked):
    first = replicas()
    await first.ask_many(1, prefix="mark")
    await kept(valkey, 1)
    mark = valkey.ask("GET", "sengol:cache:generation") if marked else b""
    for number in range(20):
        valkey.ask("SET", f"{ENTRIES}{name_of(f'q{number}')}", mark + make(f"q{number}"))
    replica = replicas()
    await replica.ask_many(20)
    assert replica.upstream == 20
    replica.clock.advance(COOLDOWN)
    await replica.ask_many(20, prefix="good")
    assert replica.state == "CLOSED"


async def test_a_key_of_another_kind_is_a_miss(valkey, replicas):
    replica = replicas()
    await replica.ask_many(1, prefix="mark")
    await kept(valkey, 1)
    valkey.ask("RPUSH", f"{ENTRIES}{name_of('q0')}", "x")
    await replica.ask_many(1)
    assert (replica.upstream, replica.state) == (2, "CLOSED")


async def test_cleared_through_the_cache_no_replica_believes_what_was_made_before_and_the_memory_comes_back(valkey, replicas):
    one, two = replicas(), replicas()
    await one.ask_many(300)
    await kept(valkey, 300)
    valkey.ask("SET", "somebody-else", "stays")
    one.pipeline["cache"].clear()

    async def empty():
        return valkey.ask("KEYS", "*entry*") == []

    await eventually(empty)
    await two.ask_many(3)
    assert two.upstream == 3
    assert valkey.ask("GET", "somebody-else") == b"stays"


async def test_what_was_made_before_a_clearing_and_is_written_after_it_does_not_count(valkey):
    clients = [ValkeyClient(valkey.url) for _ in range(2)]
    late, clearing = [ValkeyTier(each) for each in clients]
    await late.set("a", b"1", 100.0)
    await clearing.clear()
    await late.set("a", b"made before", 100.0)
    assert await clearing.get("a") is None
    assert await late.get("a") is None
    await late.set("a", b"made after", 100.0)
    assert await clearing.get("a") == b"made after"
    for each in clients:
        await each.aclose()


async def test_a_server_that_goes_while_memory_is_given_back_troubles_nobody(valkey):
    client = ValkeyClient(valkey.url)
    tier = ValkeyTier(client)
    await tier.set("a", b"1", 100.0)
    await tier.clear()
    valkey.kill()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert others, "it is at it"
    await asyncio.wait(others, timeout=20)
    assert [each.exception() for each in others] == [None] * len(others)
    valkey.start()
    await client.aclose()
    assert await tier.get("a") is None
    await tier.set("a", b"2", 100.0)
    assert await tier.get("a") == b"2"
    await client.aclose()


async def test_with_the_mark_of_the_generation_all_is_lost_and_nothing_comes_back(valkey):
    client = ValkeyClient(valkey.url)
    tier = ValkeyTier(client)
    await tier.set("a", b"1", 100.0)
    await tier.clear()
    for mark in (None, "no mark"):
        await tier.set("b", b"2", 100.0)
        valkey.ask("DEL", "sengol:cache:generation")
        if mark is not None:
            valkey.ask("SET", "sengol:cache:generation", mark)
        assert [await tier.get(key) for key in ("a", "b")] == [None, None]
        await tier.set("a", b"3", 100.0)
        assert [await tier.get(key) for key in ("a", "b")] == [b"3", None]
    await client.aclose()


async def test_a_prefix_with_signs_of_a_pattern_clears_only_its_own(valkey):
    client = ValkeyClient(valkey.url)
    odd, other = ValkeyTier(client, prefix="a[b]*?\\:"), ValkeyTier(client, prefix="ab-anything:")
    for tier in (odd, other):
        await tier.set("x", b"1", 100.0)
    await odd.clear()

    async def swept():
        return valkey.ask("EXISTS", "a[b]*?\\:entry:x") == 0

    await eventually(swept)
    assert await other.get("x") == b"1"
    await client.aclose()


@pytest.mark.parametrize("fault", ["refused", "frozen"])
async def test_a_rate_limit_goes_on_in_each_replica_while_the_server_is_away(valkey, fault):
    client = ValkeyClient(valkey.url)
    clock = ManualClock()
    limit = RateLimit(2, period=1000.0, store=ValkeyRateStore(client), store_cooldown=5.0)
    pipeline = Pipeline("api", limit, clock=clock)

    async def work():
        return "done"

    if fault == "refused":
        valkey.kill()
    else:
        valkey.freeze()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*(pipeline.call(work) for _ in range(6)), return_exceptions=True)
    assert outcomes.count("done") == 2
    assert sum(isinstance(each, RateLimited) for each in outcomes) == 4
    assert pipeline["rate_limit"].snapshot().store == "away"
    if fault == "refused":
        valkey.start()
    else:
        valkey.thaw()
    clock.advance(5.0)

    async def shared():
        await asyncio.gather(pipeline.call(work), return_exceptions=True)
        clock.advance(5.0)
        return pipeline["rate_limit"].snapshot().store == "shared"

    await eventually(shared)
    await client.aclose()
