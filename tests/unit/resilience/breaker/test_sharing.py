"""Replicas that tell each other when their breakers open and close."""

import asyncio

import pytest

from sengol_api.resilience import CircuitOpen
from sengol_api.resilience.testing import Script
from support.toolkit.replicas import KEY, Replica, two_replicas


def test_when_one_opens_the_other_opens_for_what_remains():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(20)
        await one.exchange()
        await other.exchange()
        assert other.state == "OPEN"
        assert other.left == pytest.approx(40)
        with pytest.raises(CircuitOpen) as refused:
            await other.pipeline.call(Script("well"))
        assert refused.value.retry_after == pytest.approx(40)
        assert other.changes[-1].reason == "another replica opened"
        assert other.shared.snapshot().followed == 1

    two_replicas(body)


def test_a_record_is_at_most_one_round_late():
    async def body(loop, store, one, other):
        async with one.shared:
            await asyncio.sleep(0.5)
            await one.fail()
            await asyncio.sleep(30)
            await other.exchange()
            assert one.left <= other.left <= one.left + 1.0

    two_replicas(body)


def test_what_was_followed_is_not_published_and_no_echo_goes_round():
    async def body(loop, store, one, other):
        await one.fail()
        async with one.shared, other.shared:
            await asyncio.sleep(59)
        published = {value["opening"] for _, value, _ in store.sets}
        assert len(published) == 1
        assert one.shared.snapshot().published == len(store.sets) > 50
        assert other.shared.snapshot().published == 0
        assert len(one.changes) == len(other.changes) == 1

    two_replicas(body)


def test_when_one_closes_the_other_goes_to_probing_at_once():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(30)
        await other.exchange()  # late: it heard of 60 seconds
        await asyncio.sleep(30)
        await one.succeed()
        assert (one.state, other.state) == ("CLOSED", "OPEN")
        await one.exchange()
        await other.exchange()
        assert other.state == "HALF_OPEN"
        assert other.changes[-1].reason == "another replica closed"
        assert other.shared.snapshot().followed == 2
        await other.succeed()
        assert other.state == "CLOSED"

    two_replicas(body)


def test_closings_are_told_once_and_nobody_opens_or_probes_again():
    async def body(loop, store, one, other):
        async with one.shared, other.shared:
            await one.fail()
            await asyncio.sleep(61)
            await one.succeed()
            await asyncio.sleep(2)
            await other.succeed()
            assert (one.state, other.state) == ("CLOSED", "CLOSED")
            told, changes = len(store.sets), len(one.changes) + len(other.changes)
            await asyncio.sleep(100)
            assert len(store.sets) <= told + 1  # that of the second one's own closing
            assert len(one.changes) + len(other.changes) == changes

    two_replicas(body)


def test_a_closing_is_told_for_ten_rounds_and_what_a_round_may_take():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(60)
        await one.succeed()
        await one.exchange()
        _, closing, ttl = store.sets[-1]
        assert closing["seconds"] == 0
        assert ttl == 10 * (1.0 + 0.25)

    two_replicas(body)


def test_a_closing_that_another_replica_confirms_is_told_for_longer():
    async def body(loop, store, one, other):
        third = Replica(store, loop, reset_timeout=200.0)
        await third.fail()
        await third.exchange()
        for each in (one, other):
            await each.exchange()
        third.breaker.core.probe_now(third.breaker.core.generation)
        await third.succeed()
        await third.exchange()
        await one.exchange()
        await asyncio.sleep(10)
        await one.succeed()
        await one.exchange()
        await asyncio.sleep(10)
        await other.exchange()
        assert other.state == "HALF_OPEN"

    two_replicas(body)


def test_a_breaker_whose_time_is_over_tells_nothing_before_its_probes_have_passed():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(20)
        await one.exchange()
        await asyncio.sleep(20)
        await other.exchange()
        told = len(store.sets)
        await asyncio.sleep(20)
        await one.exchange()  # open, and no call has come yet
        assert other.state == "OPEN"
        probe = asyncio.ensure_future(one.pipeline.call(asyncio.sleep, 1.0))
        await asyncio.sleep(0)
        assert one.state == "HALF_OPEN"
        await one.exchange()
        assert len(store.sets) == told
        await other.exchange()
        assert other.state == "OPEN"
        await probe

    two_replicas(body)


# By hand


@pytest.mark.parametrize("way", ["isolate", "disable"])
def test_what_is_done_by_hand_stays_local(way):
    async def body(loop, store, one, other):
        getattr(one.breaker, way)()
        await one.exchange()
        await other.exchange()
        assert store.sets == []
        assert other.state == "CLOSED"

    two_replicas(body)


def test_opening_by_hand_stays_local():
    async def body(loop, store, one, other):
        one.breaker.open_for(30.0)
        await one.exchange()
        assert store.sets == []

    two_replicas(body)


@pytest.mark.parametrize(("way", "state"), [("isolate", "ISOLATED"), ("disable", "DISABLED")])
def test_another_replica_does_not_undo_what_was_done_by_hand(way, state):
    async def body(loop, store, one, other):
        getattr(other.breaker, way)()
        await one.fail()
        await one.exchange()
        await other.exchange()
        assert other.state == state
        other.breaker.reset()
        await other.exchange()
        assert other.state == "CLOSED"

    two_replicas(body)


def test_a_reset_by_hand_takes_back_what_was_published():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        one.breaker.reset()
        await one.exchange()
        await one.exchange()
        assert store.deletes == [KEY]
        await other.exchange()
        assert other.state == "CLOSED"

    two_replicas(body)


def test_a_reset_by_hand_is_not_undone_by_ones_own_record_nor_by_one_that_was_followed():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await other.exchange()
        other.breaker.reset()
        for _ in range(3):
            await one.exchange()
            await other.exchange()
        assert other.state == "CLOSED"
        assert one.state == "OPEN"
        assert store.deletes == []

    two_replicas(body)
