"""A bound on calls at once: first come, first served, and no place is ever lost."""

import asyncio

import pytest

from sengol_api.resilience import (
    BulkheadFull,
)
from sengol_api.resilience.bulkhead import BulkheadSnapshot
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from support.toolkit.bulkheads import bulkhead, cancel, state
from support.toolkit.tasks import started


def test_as_many_run_as_allowed_as_many_wait_as_allowed_and_one_more_is_refused():
    async def main(loop):
        pipeline = bulkhead(loop, 2, 3)
        upstream = Script(after(1.0, "well"))
        tasks = [await started(pipeline.call(upstream)) for _ in range(5)]
        assert state(pipeline) == BulkheadSnapshot(in_flight=2, queued=3, max_concurrent=2, rejected=0, expired=0)
        with pytest.raises(BulkheadFull) as refused:
            await pipeline.call(upstream)
        assert str(refused.value) == "search: the call found 2 calls running and the queue of 3 full (bulkhead)"
        assert refused.value.retry_after is None
        assert await asyncio.gather(*tasks) == ["well"] * 5
        assert upstream.most == 2
        assert state(pipeline) == BulkheadSnapshot(in_flight=0, queued=0, max_concurrent=2, rejected=1, expired=0)

    run_virtual(main)


def test_a_refused_call_is_never_begun():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 0)
        holder = await started(pipeline.call(Script(hang)))
        upstream = Script("never")
        for _ in range(3):
            with pytest.raises(BulkheadFull):
                await pipeline.call(upstream)
        assert upstream.calls == []
        await cancel(holder)

    run_virtual(main)


def test_callers_are_served_in_the_order_in_which_they_came_and_nobody_overtakes():
    async def main(loop):
        pipeline = bulkhead(loop)
        order = []

        async def work(number):
            order.append(number)
            await asyncio.sleep(0.01)

        async def latecomers():
            for number in range(50, 100):
                await asyncio.sleep(0.005)
                tasks.append(asyncio.create_task(pipeline.call(work, number)))

        tasks = [await started(pipeline.call(work, number)) for number in range(50)]
        await latecomers()
        await asyncio.gather(*tasks)
        assert order == list(range(100))

    run_virtual(main)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_place_that_another_thread_has_put_down_and_not_yet_handed_on_is_for_the_first_in_line(kind):
    async def main(loop):
        pipeline = bulkhead(loop, 1, 100, 5.0)
        order = []

        async def work(name):
            order.append(name)
            await asyncio.sleep(1.0)

        holder = await started(pipeline.call(Script(hang)))
        first = await started(pipeline.call(work, "first"))
        pipeline["bulkhead"]._permits.put_back(None)
        if kind == "sync":
            with pytest.raises(BulkheadFull):
                pipeline.call_sync(order.append, "new")
        else:
            newcomer = await started(pipeline.call(work, "new"))
            await newcomer
        await first
        assert order[0] == "first"
        await cancel(holder)

    run_virtual(main)


def test_one_that_comes_while_a_permit_is_on_its_way_to_the_first_in_line_does_not_get_it():
    async def main(loop):
        pipeline = bulkhead(loop)
        order = []

        async def work(name):
            order.append(name)

        gate = loop.create_future()
        holder = await started(pipeline.call(lambda: gate))
        first = await started(pipeline.call(work, "first in line"))
        gate.set_result(None)
        await asyncio.sleep(0)  # the holder has given its permit back, the first in line has not run yet
        assert order == []
        second = asyncio.create_task(pipeline.call(work, "newcomer"))
        await asyncio.gather(holder, first, second)
        assert order == ["first in line", "newcomer"]

    run_virtual(main)


def test_a_cancelled_waiter_leaks_no_capacity():
    async def main(loop):
        pipeline = bulkhead(loop)
        holder = await started(pipeline.call(Script(after(1.0, "well"))))
        waiting = [await started(pipeline.call(Script("well"))) for _ in range(10)]
        await cancel(*waiting[::2])
        assert state(pipeline).queued == 5
        assert await asyncio.gather(holder, *waiting[1::2]) == ["well"] * 6
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)

    run_virtual(main)


def test_a_waiter_that_is_cancelled_when_it_is_handed_a_permit_hands_it_on():
    async def main(loop):
        pipeline = bulkhead(loop)
        for order in ("permit first", "cancelled first"):
            gate = loop.create_future()
            holder = await started(pipeline.call(lambda gate=gate: gate))
            unlucky, next_one = [await started(pipeline.call(Script("well"))) for _ in range(2)]
            if order == "permit first":
                gate.set_result(None)
                await asyncio.sleep(0)
                unlucky.cancel()
            else:
                unlucky.cancel()
                gate.set_result(None)
            with pytest.raises(asyncio.CancelledError):
                await unlucky
            assert await next_one == "well"
            await holder
            assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_cancelled_call_gives_its_place_back():
    async def main(loop):
        pipeline = bulkhead(loop)
        await cancel(await started(pipeline.call(Script(hang))))
        assert state(pipeline).in_flight == 0
        assert await pipeline.call(Script("well")) == "well"

    run_virtual(main)


def test_a_call_that_fails_gives_its_place_back():
    async def main(loop):
        pipeline = bulkhead(loop)
        for _ in range(3):
            with pytest.raises(ValueError, match="bad"):
                await pipeline.call(Script(ValueError("bad")))
            with pytest.raises(ValueError, match="bad"):
                pipeline.call_sync(Script(ValueError("bad")).sync)
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_waiter_that_nobody_remembers_gives_the_permit_on():
    async def main(loop):
        pipeline = bulkhead(loop)
        gate = loop.create_future()
        holder = await started(pipeline.call(lambda: gate))
        half_run = pipeline.call(Script("never"))
        half_run.send(None)
        next_one = await started(pipeline.call(Script("well")))
        assert state(pipeline).queued == 2
        gate.set_result(None)
        await asyncio.sleep(0)
        half_run.close()
        assert await next_one == "well"
        await holder
        assert state(pipeline).in_flight == 0

    run_virtual(main)
