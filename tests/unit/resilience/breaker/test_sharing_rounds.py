"""The rounds in which breakers are shared, and the store in memory."""

import asyncio

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, OptionsError, Pipeline, Registry, deadline
from sengol_api.resilience.breaker.sharing import InMemoryStore, SharedBreakers
from sengol_api.resilience.testing import ManualClock, run_virtual
from support.toolkit.replicas import Replica

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
