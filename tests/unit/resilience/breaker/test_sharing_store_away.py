"""A store that is away, hangs, or holds garbage."""

import asyncio

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline
from sengol_api.resilience.breaker.sharing import InMemoryStore, SharedBreakers
from sengol_api.resilience.testing import run_virtual
from support.toolkit.replicas import KEY, two_replicas


class Moody(InMemoryStore):
    """A store that raises or hangs when it is told to."""

    mood = "well"

    async def get(self, key):
        if self.mood == "raises":
            raise ConnectionError("the store is gone")
        if self.mood == "hangs":
            await asyncio.get_running_loop().create_future()
        return await super().get(key)

    async def set(self, key, value, ttl):
        if self.mood == "read-only":
            raise PermissionError("read only")
        await super().set(key, value, ttl)


@pytest.mark.parametrize(("mood", "error"), [("raises", ConnectionError), ("hangs", TimeoutError), ("read-only", PermissionError)])
def test_while_the_store_is_away_each_decides_alone_and_the_snapshot_says_so(mood, error):
    async def body(loop, store, one, other):
        assert one.shared.snapshot().alone
        assert one.shared.snapshot().last_answer is None
        async with one.shared, other.shared:
            await asyncio.sleep(2)
            answered = one.shared.snapshot()
            assert not answered.alone
            assert answered.error is None
            assert answered.last_answer == pytest.approx(loop.wall(), abs=1)
            store.mood = mood
            await one.fail()
            await asyncio.sleep(10)
            assert (one.state, other.state) == ("OPEN", "CLOSED")
            away = one.shared.snapshot()
            assert away.alone
            assert isinstance(away.error, error)
            assert away.failures >= 7
            assert away.last_answer == pytest.approx(loop.wall(), abs=11)
            store.mood = "well"
            await asyncio.sleep(3)
            assert (one.state, other.state) == ("OPEN", "OPEN")
            assert other.left == pytest.approx(one.left, abs=1.5)
            assert not one.shared.snapshot().alone

    two_replicas(body, store=Moody)


def test_a_closing_that_could_not_be_told_is_told_when_the_store_is_back():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(30)
        await other.exchange()
        await asyncio.sleep(31)
        await one.succeed()
        store.mood = "read-only"
        await one.exchange()
        store.mood = "well"
        await one.exchange()
        await other.exchange()
        assert other.state == "HALF_OPEN"

    two_replicas(body, store=Moody)


def test_a_store_that_hangs_delays_a_round_by_its_timeout_alone_however_many_breakers_there_are():
    async def main(loop):
        store = Moody(loop)
        store.mood = "hangs"
        pipelines = [Pipeline(f"upstream-{number}", CircuitBreaker(), clock=loop) for number in range(20)]
        shared = SharedBreakers(store, *(each["circuit_breaker"] for each in pipelines), clock=loop)
        began = loop.now()
        await shared.exchange()
        assert loop.now() - began == pytest.approx(0.25)

    run_virtual(main)


def test_calls_never_wait_for_the_store():
    async def body(loop, store, one, other):
        store.mood = "hangs"
        async with one.shared:
            await asyncio.sleep(1.1)
            began = loop.now()
            await one.fail()
            with pytest.raises(CircuitOpen):
                await one.succeed()
            assert loop.now() == began

    two_replicas(body, store=Moody)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\xff\xfe\x00",
        b"not json",
        b"null",
        b"[1, 2]",
        b"{}",
        b'{"opening": 5, "seconds": 60}',
        b'{"opening": "x-1"}',
        b'{"opening": "x-1", "seconds": "60"}',
        b'{"opening": "x-1", "seconds": -1}',
        b'{"opening": "", "seconds": 60}',
        b'{"opening": "x-1", "seconds": 1000000000.1}',
        b'{"opening": "x-1", "seconds": 60, "padding": "' + b"x" * 465 + b'"}',
        b'{"opening": "x-1", "seconds": NaN}',
        b'{"opening": "x-1", "seconds": Infinity}',
        b'{"opening": "x-1", "seconds": 1e999}',
        b'{"opening": "x-1", "seconds": ' + b"9" * 400 + b"}",
        b'{"opening": "x-1", "seconds": 60, "padding": "' + b"x" * 10_000 + b'"}',
        b"[" * 500,
        "text",
        60,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_nobody_opens_because_of_garbage_and_an_opening_replaces_it(garbage):
    async def body(loop, store, one, other):
        await InMemoryStore.set(store, KEY, garbage, 1e6)
        await other.exchange()
        assert other.state == "CLOSED"
        assert not other.shared.snapshot().alone
        await one.fail()
        await one.exchange()
        await other.exchange()
        assert other.state == "OPEN"

    two_replicas(body)


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        (b'{"opening": "x-1", "seconds": 60, "padding": "' + b"x" * 464 + b'"}', 60.0),
        (b'{"opening": "x-1", "seconds": 1e9}', 600.0),
    ],
    ids=["long", "long time"],
)
def test_a_record_may_have_half_a_kibibyte_and_thirty_years(record, seconds):
    async def body(loop, store, one, other):
        assert len(record) <= 512
        await InMemoryStore.set(store, KEY, record, 1e6)
        await other.exchange()
        assert other.left == pytest.approx(seconds)

    two_replicas(body)
