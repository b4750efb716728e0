"""``RateStore``, where replicas count together: in memory, and on a real Valkey."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.adapters.valkey.client import Script, ValkeyClient
from sengol_api.adapters.valkey.rate import ValkeyRateStore
from sengol_api.resilience import InMemoryRateStore, Pipeline, RateLimit, RateLimited
from sengol_api.resilience.testing import ManualClock

pytest_plugins = ["support.fixtures"]
LONG = 1000.0  # seconds per unit: what passes while a test runs is next to nothing


@pytest.fixture(params=["memory", pytest.param("valkey", marks=pytest.mark.valkey)])
async def stores(request):
    """Two replicas' views of one store."""
    if request.param == "memory":
        yield [InMemoryRateStore(ManualClock())] * 2
    else:
        clients = [ValkeyClient(request.getfixturevalue("empty_valkey").url) for _ in range(2)]
        yield [ValkeyRateStore(client) for client in clients]
        for client in clients:
            await client.aclose()


def near(value):
    return pytest.approx(value, abs=0.5, rel=0.01)


async def test_the_burst_is_let_through_then_nothing_and_it_is_told_when_to_come_back(stores):
    one, two = stores
    decisions = [await each.take("a", 1.0, LONG, 3.0, 0.0) for each in (one, two, one, two)]
    assert [each.allowed for each in decisions] == [True, True, True, False]
    assert [each.remaining for each in decisions] == [pytest.approx(left, abs=0.05) for left in (2, 1, 0, 0)]
    assert [each.wait for each in decisions] == [0.0] * 4
    assert [each.retry_after for each in decisions] == [0.0, 0.0, 0.0, near(LONG)]
    assert [each.reset_after for each in decisions] == [near(LONG), near(2 * LONG), near(3 * LONG), near(3 * LONG)]


async def test_keys_do_not_know_of_each_other(stores):
    one, two = stores
    for key in ("a", "", "ключ", "a b\r\nc"):
        assert (await one.take(key, 1.0, LONG, 1.0, 0.0)).allowed
        assert not (await two.take(key, 1.0, LONG, 1.0, 0.0)).allowed


async def test_a_turn_is_reserved_for_those_who_may_wait(stores):
    one, two = stores
    assert (await one.take("a", 1.0, LONG, 1.0, 0.0)).allowed
    second = await two.take("a", 1.0, LONG, 1.0, LONG)
    third = await one.take("a", 1.0, LONG, 1.0, 2 * LONG)
    assert (second.allowed, second.wait) == (True, near(LONG))
    assert (third.allowed, third.wait) == (True, near(2 * LONG))
    assert not (await two.take("a", 1.0, LONG, 1.0, 2 * LONG)).allowed


async def test_a_cost_above_the_burst_can_never_go(stores):
    decision = await stores[0].take("a", 4.0, LONG, 3.0, 1e9)
    assert (decision.allowed, decision.retry_after) == (False, None)
    assert (await stores[1].take("a", 3.0, LONG, 3.0, 0.0)).allowed


async def test_asking_for_nothing_takes_nothing(stores):
    assert (await stores[0].take("a", 0.0, LONG, 2.0, 0.0)).remaining == 2.0
    assert (await stores[1].take("a", 2.0, LONG, 2.0, 0.0)).allowed


async def test_what_is_given_back_can_be_taken_and_what_is_owed_is_paid_first(stores):
    one, two = stores
    assert (await one.take("a", 3.0, LONG, 3.0, 0.0)).allowed
    await two.adjust("a", -2.0, LONG, 3.0)
    assert (await one.take("a", 0.0, LONG, 3.0, 0.0)).remaining == pytest.approx(2, abs=0.05)
    await one.adjust("a", 4.0, LONG, 3.0)
    assert (await two.take("a", 1.0, LONG, 3.0, 0.0)).retry_after == near(3 * LONG)


async def test_what_is_given_back_leaves_those_who_wait_alone_in_their_turn(stores):
    one, two = stores
    assert (await one.take("a", 1.0, LONG, 1.0, 0.0)).allowed
    assert (await two.take("a", 1.0, LONG, 1.0, LONG)).wait == near(LONG)
    await one.adjust("a", -2.0, LONG, 1.0)
    assert not (await two.take("a", 1.0, LONG, 1.0, LONG)).allowed


async def test_of_fifty_at_once_as_many_go_as_the_burst_allows(stores):
    decisions = await asyncio.gather(*(stores[n % 2].take("a", 1.0, LONG, 7.0, 0.0) for n in range(50)))
    assert sum(each.allowed for each in decisions) == 7


async def test_the_policy_of_two_replicas_holds_one_limit(stores):
    replicas = [Pipeline("api", RateLimit(5, period=5 * LONG, store=each)) for each in stores]

    async def work():
        return "done"

    outcomes = await asyncio.gather(*(replicas[n % 2].call(work) for n in range(12)), return_exceptions=True)
    assert outcomes.count("done") == 5
    assert sum(isinstance(each, RateLimited) for each in outcomes) == 7
    assert [each["rate_limit"].snapshot().store for each in replicas] == ["shared", "shared"]


class SetTime(ValkeyRateStore):
    """The very script, only with the time told by the test, and keys that outlive it."""

    def __init__(self, client, prefix):
        super().__init__(client, prefix=prefix)
        changes = {"redis.call('TIME')": "{ARGV[6], ARGV[7]}", "math.min(at - now, longest)": "longest"}
        text = self._script.text
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        self._script = Script.of(text)
        self.microseconds = 1_800_000_000_000_000

    def now(self):
        """The same moment as the script reckons it."""
        seconds, rest = divmod(self.microseconds, 1_000_000)
        return (seconds - 1_700_000_000) + rest / 1_000_000

    async def _run(self, what, key, *numbers):
        told = map(str, divmod(self.microseconds, 1_000_000))
        return await self._client.run(self._script, (self._prefix + key,), what, *map(repr, map(float, numbers)), *told)


COSTS = st.sampled_from([0.0, 1.0, 1.0, 1.0, 0.3, 2.0, 2.5, 5.0, 9.0])
INTERVALS = st.sampled_from([1.0, 1.0, 0.1, 1 / 3, 60.0, 0.0007])
STEPS = st.tuples(
    st.sampled_from(["take", "take", "adjust"]),
    st.integers(0, 3_000_000) | st.sampled_from([0, 1, 1_000_000]),
    st.sampled_from(["a", "b"]),
    COSTS,
    st.sampled_from([1.0, -1.0, -1.0]),
    INTERVALS,
    st.sampled_from([1.0, 2.0, 5.0, 7.5]),
    st.sampled_from([0.0, 0.0, 1.5, 1000.0]),
)


@pytest.mark.valkey
@settings(max_examples=100)
@given(st.lists(STEPS, min_size=1, max_size=40))
async def test_it_decides_as_the_store_in_memory_does(shared_valkey, steps):
    shared_valkey.flush()
    client = ValkeyClient(shared_valkey.url)
    real = SetTime(client, "test:")
    model = InMemoryRateStore(real)
    for operation, pause, key, cost, sign, interval, burst, max_wait in steps:
        real.microseconds += pause
        if operation == "take":
            found, wanted = [await each.take(key, cost, interval, burst, max_wait) for each in (real, model)]
            assert found.allowed == wanted.allowed
            assert found.retry_after == (None if wanted.retry_after is None else pytest.approx(wanted.retry_after, abs=1e-6))
            assert found[1::2] == pytest.approx(wanted[1::2], abs=1e-6)
            assert found.wait == pytest.approx(wanted.wait, abs=1e-6)
        else:
            for each in (real, model):
                await each.adjust(key, sign * cost, interval, burst)
    await client.aclose()


@pytest.fixture
async def set_time(empty_valkey):
    client = ValkeyClient(empty_valkey.url)
    yield SetTime(client, "test:")
    await client.aclose()


@pytest.mark.valkey
async def test_a_server_clock_that_is_set_back_changes_nothing_of_what_is_owed(set_time):
    assert (await set_time.take("a", 3.0, 10.0, 3.0, 0.0)).allowed
    set_time.microseconds -= 3600 * 1_000_000
    assert (await set_time.take("a", 1.0, 10.0, 3.0, 0.0)).retry_after == pytest.approx(10.0)
    set_time.microseconds += 4_000_000
    assert (await set_time.take("a", 1.0, 10.0, 3.0, 0.0)).retry_after == pytest.approx(6.0)
    set_time.microseconds += 6_000_000
    assert (await set_time.take("a", 1.0, 10.0, 3.0, 0.0)).allowed


@pytest.mark.valkey
async def test_a_key_lives_until_its_burst_is_full_again_and_no_longer(empty_valkey):
    client = ValkeyClient(empty_valkey.url)
    store = ValkeyRateStore(client)
    decision = await store.take("a", 2.0, LONG, 3.0, 0.0)
    assert empty_valkey.ask("PTTL", "sengol:rate:a") / 1000 == near(decision.reset_after)
    await store.adjust("a", -2.0, LONG, 3.0)
    assert empty_valkey.ask("EXISTS", "sengol:rate:a") == 0
    await store.take("b", 1.0, 1e12, 3.0, 0.0)
    assert empty_valkey.ask("PTTL", "sengol:rate:b") > 0
    await client.aclose()


@pytest.mark.valkey
@pytest.mark.parametrize(
    "garbage",
    ["", "x", "1 2 3", "nan nan nan nan", "nan 1 1 1", "inf inf 1 1", "1 2 0 3", "1e999 1 1 1 1", "1 2 -1 3", b"\xff\x00"],
)
async def test_garbage_under_its_key_is_no_past(empty_valkey, garbage):
    client = ValkeyClient(empty_valkey.url)
    empty_valkey.ask("SET", "sengol:rate:a", garbage)
    decisions = [await ValkeyRateStore(client).take("a", 1.0, LONG, 1.0, 0.0) for _ in range(2)]
    assert [each.allowed for each in decisions] == [True, False]
    await client.aclose()


@pytest.mark.valkey
async def test_a_key_of_another_kind_is_no_past(empty_valkey):
    client = ValkeyClient(empty_valkey.url)
    empty_valkey.ask("RPUSH", "sengol:rate:a", "x")
    decisions = [await ValkeyRateStore(client).take("a", 1.0, LONG, 1.0, 0.0) for _ in range(2)]
    assert [each.allowed for each in decisions] == [True, False]
    await client.aclose()


@pytest.mark.valkey
async def test_a_server_that_has_forgotten_the_script_is_told_it_again(empty_valkey):
    client = ValkeyClient(empty_valkey.url)
    store = ValkeyRateStore(client)
    for left in (4, 3, 2):
        empty_valkey.ask("SCRIPT", "FLUSH")
        assert (await store.take("a", 1.0, LONG, 5.0, 0.0)).remaining == pytest.approx(left, abs=0.05)
    await client.aclose()
