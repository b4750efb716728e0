"""Replicas that tell each other when their breakers open and close."""

import asyncio
import json

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, CircuitOpen, OptionsError, Pipeline, Registry, deadline
from sengol_api.resilience.breaker.sharing import InMemoryStore, SharedBreakers
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import ManualClock, Script, run_virtual

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


def two_replicas(body, store=Watched, **options):
    async def main(loop):
        shelf = store(loop)
        await body(loop, shelf, *(Replica(shelf, loop, **options) for _ in range(2)))

    run_virtual(main)


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


# A store that is away


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


# The rounds


def test_a_deadline_around_the_start_does_not_bind_the_rounds():
    class Bound(InMemoryStore):
        async def get(self, key):
            return await guard.call(super().get, key)

    async def main(loop):
        nonlocal guard
        guard = Pipeline("store", Bulkhead(), clock=loop)
        replica = Replica(Bound(loop), loop)
        with deadline(10.0, clock=loop):
            await replica.shared.__aenter__()
        await asyncio.sleep(20)
        assert not replica.shared.snapshot().alone
        await replica.shared.__aexit__(None, None, None)

    guard = None
    run_virtual(main)


def test_the_rounds_end_with_the_block_and_may_start_again_in_another_loop():
    store = InMemoryStore()
    pipeline = Pipeline("upstream", CircuitBreaker())
    shared = SharedBreakers(store, pipeline["circuit_breaker"], interval=0.001)

    async def main():
        async with shared as entered:
            assert entered is shared
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    asyncio.run(main())


def test_leaving_without_having_entered_does_nothing():
    asyncio.run(SharedBreakers(InMemoryStore()).__aexit__(None, None, None))


def test_a_cancellation_while_leaving_is_not_swallowed():
    class Slow(InMemoryStore):
        async def get(self, key):
            try:
                await asyncio.sleep(0.2)
            finally:
                await asyncio.sleep(0.2)

    async def main(loop):
        replica = Replica(Slow(loop), loop)

        async def serve():
            async with replica.shared:
                await asyncio.sleep(0.1)

        task = asyncio.ensure_future(serve())
        await asyncio.sleep(0.15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1)

    run_virtual(main)


def test_rounds_that_broke_tell_it_at_the_end():
    class Broken(ManualClock):
        async def sleep(self, seconds):
            raise RuntimeError("no time")

    async def main():
        async with SharedBreakers(InMemoryStore(), clock=Broken()):
            await asyncio.sleep(0.01)

    with pytest.raises(RuntimeError, match="no time"):
        run_virtual(main())


@pytest.mark.parametrize(
    ("breakers", "options", "told"),
    [
        ((), {"interval": 0}, "interval=0 is not allowed, it takes a number above 0"),
        ((), {"timeout": float("nan")}, "timeout=nan is not allowed"),
        (("breaker",), {}, "'breaker' is no circuit breaker"),
        ((CircuitBreaker(),), {}, "is no circuit breaker"),
        (
            [Pipeline("a", CircuitBreaker())["circuit_breaker"] for _ in "12"],
            {},
            "two breakers have the key 'breaker:a/circuit_breaker'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(breakers, options, told):
    with pytest.raises(OptionsError) as refused:
        SharedBreakers(InMemoryStore(), *breakers, **options)
    assert told in str(refused.value)


def test_a_breaker_that_two_pipelines_have_is_shared_once():
    async def main(loop):
        async def refused():
            raise ConnectionError

        store = InMemoryStore(loop)
        reads = Pipeline("reads", CircuitBreaker(failure_threshold=1), clock=loop)
        registry = Registry()
        registry.add(reads)
        registry.add(Pipeline("writes", reads["circuit_breaker"], clock=loop))
        async with SharedBreakers(store, *registry.breakers().values(), clock=loop):
            with pytest.raises(ConnectionError):
                await reads.call(refused)
            await asyncio.sleep(1.5)
            assert list(store._values) == ["breaker:reads/circuit_breaker"]

    run_virtual(main)


# The store in memory


def test_a_value_runs_out_and_can_be_replaced_and_forgotten():
    async def main(loop):
        store = InMemoryStore(loop)
        assert await store.get("key") is None
        await store.set("key", b"one", 1.0)
        await store.set("key", b"two", 2.0)
        await asyncio.sleep(1.5)
        assert await store.get("key") == b"two"
        await asyncio.sleep(0.5)
        assert await store.get("key") is None
        assert store._values == {}, "it takes no room either"
        await store.set("key", b"three", 1.0)
        await store.delete("key")
        await store.delete("key")
        assert await store.get("key") is None

    run_virtual(main)
