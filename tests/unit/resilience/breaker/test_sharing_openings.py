"""Several openings of one breaker among replicas: which one stands, and for how long."""

import asyncio
import json

import pytest

from sengol_api.resilience.breaker.sharing import SharedBreakers
from sengol_api.resilience.testing import ManualClock, Script
from support.toolkit.replicas import KEY, Replica, two_replicas


def test_what_a_breaker_did_before_it_was_shared_is_no_news():
    async def body(loop, store, one, other):
        await one.fail()
        await asyncio.sleep(60)
        await one.succeed()
        again = SharedBreakers(store, one.breaker, clock=loop)
        await again.exchange()
        assert store.sets == []

    two_replicas(body)


@pytest.mark.parametrize("first", ["the one that lasts longer", "the other"])
def test_of_two_openings_at_nearly_the_same_time_one_stands(first):
    async def body(loop, store, one, other):
        await one.fail()
        await asyncio.sleep(0.5)
        await other.fail()
        rounds = [one.shared, other.shared] if first == "the other" else [other.shared, one.shared]
        async with rounds[0], rounds[1]:
            await asyncio.sleep(30)
        assert len({value["opening"] for _, value, _ in store.sets[2:]}) == 1

    two_replicas(body)


def test_a_replica_that_starts_in_the_middle_of_a_closing_hears_it_without_harm():
    async def body(loop, store, one, other):
        await one.fail()
        await asyncio.sleep(1)
        await one.exchange()
        one.breaker.core.probe_now(one.breaker.core.generation)
        await one.succeed()
        await store.set(KEY, json.dumps({"opening": "somebody-1", "seconds": 0}).encode(), 60.0)
        await other.exchange()
        assert other.state == "CLOSED"
        assert not other.shared.snapshot().alone

    two_replicas(body)


def test_a_probe_that_fails_opens_all_again():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await other.exchange()
        await asyncio.sleep(60)
        await one.fail(1)
        await one.exchange()
        with pytest.raises(ConnectionError):
            await other.pipeline.call(Script(ConnectionError()))
        await other.exchange()
        assert (one.state, other.state) == ("OPEN", "OPEN")
        await one.exchange()
        await other.exchange()
        assert [len(each.changes) for each in (one, other)] == [3, 3]

    two_replicas(body)


def test_one_that_probes_opens_again_when_another_one_s_probe_has_failed():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await other.exchange()
        await asyncio.sleep(60)
        hung = asyncio.ensure_future(other.pipeline.call(asyncio.sleep, 5))
        await asyncio.sleep(0)
        assert other.state == "HALF_OPEN"
        await one.fail(1)
        await one.exchange()
        await other.exchange()
        assert other.state == "OPEN"
        await hung
        assert other.state == "OPEN"  # its probe was of an earlier generation

    two_replicas(body)


def test_of_two_openings_the_one_that_lasts_longest_stands():
    async def body(loop, store, one, other):
        await one.fail()
        await asyncio.sleep(10)
        await other.fail()
        async with one.shared, other.shared:
            await asyncio.sleep(30)
        openings = [value["opening"] for _, value, _ in store.sets]
        assert len(set(openings[1:])) == 1
        late = Replica(store, loop)
        await late.exchange()
        assert late.left == pytest.approx(other.left, abs=1.5)
        assert [len(each.changes) for each in (one, other)] == [1, 1]

    two_replicas(body)


def test_an_opening_is_followed_once_even_if_others_come_between():
    async def body(loop, store, one, other):
        third = Replica(store, loop, reset_timeout=90.0)
        await one.fail()
        await one.exchange()
        await other.exchange()
        first = await store.get(KEY)
        await third.fail()
        await third.exchange()
        await other.exchange()
        other.breaker.reset()
        await store.set(KEY, first, 60.0)
        await other.exchange()
        assert other.state == "CLOSED"

    two_replicas(body)


def test_a_restarted_replica_learns_that_its_breaker_was_open():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        again = Replica(store, loop)
        await again.exchange()
        assert again.state == "OPEN"

    two_replicas(body)


def test_the_record_of_a_replica_that_died_runs_out():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(61)
        await other.exchange()
        assert other.state == "CLOSED"

    two_replicas(body)


@pytest.mark.parametrize("step", [-1e9, 1e9])
def test_a_wall_clock_that_is_wrong_changes_nothing(step):
    async def body(loop, store, one, other):
        clock = ManualClock(now=5.0)
        clock.step_wall(step)
        skewed = Replica(store, clock)
        await one.fail()
        await one.exchange()
        await skewed.exchange()
        assert skewed.left == pytest.approx(60)

    two_replicas(body)


def test_no_one_opens_longer_than_its_own_options_allow():
    async def body(loop, store, one, other):
        await store.set(KEY, json.dumps({"opening": "x-1", "seconds": 1e8}).encode(), 60.0)
        await other.exchange()
        assert other.left == pytest.approx(600)

    two_replicas(body)


def test_a_closing_elsewhere_does_not_shorten_another_opening():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await other.exchange()
        await store.set(KEY, json.dumps({"opening": "somebody-1", "seconds": 0}).encode(), 60.0)
        await other.exchange()
        assert other.state == "OPEN"
        await asyncio.sleep(60)
        await other.fail(1)
        await one.succeed()
        await store.delete(KEY)
        await one.exchange()
        await other.exchange()
        assert (one.state, other.state) == ("CLOSED", "OPEN")
        assert other.left == pytest.approx(60)

    two_replicas(body)


def test_a_closing_does_not_hide_another_replica_s_opening():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(60)
        await one.succeed()
        await other.fail()
        await other.exchange()
        await one.exchange()
        late = Replica(store, loop)
        await late.exchange()
        assert (one.state, late.state) == ("OPEN", "OPEN")

    two_replicas(body)


def test_a_closing_does_not_overwrite_an_opening_that_was_not_followed():
    async def body(loop, store, one, other):
        for opening, seconds in (("somebody-1", 10), ("else-1", 100)):
            await store.set(KEY, json.dumps({"opening": opening, "seconds": seconds}).encode(), 100.0)
            await one.exchange()
        await asyncio.sleep(10)
        await one.succeed()
        await one.exchange()
        await other.exchange()
        assert (one.state, other.state) == ("CLOSED", "OPEN")

    two_replicas(body)


def test_a_breaker_that_probes_takes_nothing_back():
    async def body(loop, store, one, other):
        await one.fail()
        await one.exchange()
        await asyncio.sleep(59.5)
        await one.exchange()
        one.breaker.core.probe_now(one.breaker.core.generation)
        await one.exchange()
        assert one.state == "HALF_OPEN"
        assert store.deletes == []

    two_replicas(body)
