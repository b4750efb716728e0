"""A bulkhead: how long one waits, what a refusal says, and bounds that change."""

import asyncio

import pytest

from sengol_api.resilience import (
    Bulkhead,
    BulkheadFull,
    DeadlineExceeded,
    OptionsError,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    deadline,
)
from sengol_api.resilience.events import CallRejected
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.bulkheads import bulkhead, cancel, state
from support.toolkit.tasks import started


def test_who_waits_too_long_is_refused_and_counted():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, 2.0)
        heard = []
        pipeline.subscribe(heard.append, CallRejected)
        holder = await started(pipeline.call(Script(hang)))
        began = loop.time()
        with pytest.raises(BulkheadFull, match=r"search: the call got no free place within 2 s \(bulkhead\)") as refused:
            await pipeline.call(Script("never"))
        assert loop.time() - began == 2.0
        assert [each.error for each in heard] == [refused.value]
        assert (state(pipeline).expired, state(pipeline).rejected, state(pipeline).queued) == (1, 0, 0)
        await cancel(holder)

    run_virtual(main)


def test_a_permit_that_comes_at_the_very_moment_when_the_time_is_over_is_used_or_given_on():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, 2.0)
        holder = await started(pipeline.call(Script(after(2.0, "well"))))
        try:
            outcome = await pipeline.call(Script("well"))
        except BulkheadFull:
            outcome = "refused"
        assert outcome in {"well", "refused"}
        await holder
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, 0)

    run_virtual(main)


def test_nobody_waits_past_the_deadline():
    async def main(loop):
        for seconds in (None, 60.0):
            pipeline = bulkhead(loop, 1, 10, seconds)
            holder = await started(pipeline.call(Script(hang)))
            began = loop.time()
            with deadline(2.0, clock=loop), pytest.raises(DeadlineExceeded) as refused:
                await pipeline.call(Script("never"))
            assert loop.time() - began == pytest.approx(2.0)
            assert (refused.value.name, refused.value.policy) == ("search", "bulkhead")
            assert state(pipeline).expired == 1
            await cancel(holder)

    run_virtual(main)


def test_a_queue_timeout_shorter_than_the_deadline_is_told_as_such():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, 1.0)
        holder = await started(pipeline.call(Script(hang)))
        with deadline(2.0, clock=loop), pytest.raises(BulkheadFull, match="within 1 s"):
            await pipeline.call(Script("never"))
        await cancel(holder)

    run_virtual(main)


def test_who_has_no_time_left_does_not_stand_in_line():
    clock = ManualClock()
    pipeline = bulkhead(clock)
    heard = []
    pipeline.subscribe(heard.append, CallRejected)

    async def main():
        holder = await started(pipeline.call(Script(hang)))
        with deadline(0, clock=clock):
            with pytest.raises(DeadlineExceeded) as first:
                await pipeline.call(Script("never"))
            with pytest.raises(DeadlineExceeded) as second:
                pipeline.call_sync(Script("never").sync)
        assert [each.error for each in heard] == [first.value, second.value]
        assert state(pipeline).expired == 2
        await cancel(holder)

    run_virtual(main())


@pytest.mark.parametrize("queue", [0, 5])
def test_a_refusal_shows_nothing_of_the_machinery_in_its_traceback(queue):
    async def main(loop):
        pipeline = bulkhead(loop, 1, queue, 1.0)
        holder = await started(pipeline.call(Script(hang)))
        with pytest.raises(BulkheadFull) as refused:
            await pipeline.call(Script("never"))
        assert refused.value.__cause__ is None
        assert refused.value.__suppress_context__
        with pytest.raises(DeadlineExceeded) as refused, deadline(0, clock=loop):
            await pipeline.call(Script("never"))
        assert refused.value.__suppress_context__
        if queue:
            waiting = await started(pipeline.call(Script("never")))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await waiting
            assert cancelled.value.__context__ is None
        await cancel(holder)

    run_virtual(main)


def test_an_index_error_of_the_work_is_the_works_own():
    async def main(loop):
        pipeline = bulkhead(loop)
        with pytest.raises(IndexError, match="mine"):
            await pipeline.call(Script(IndexError("mine")))
        with pytest.raises(IndexError, match="mine"):
            pipeline.call_sync(Script(IndexError("mine")).sync)
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_more_places_let_more_in_at_once():
    async def main(loop):
        pipeline = bulkhead(loop, 1)
        upstream = Script(after(1.0, "well"))
        tasks = [await started(pipeline.call(upstream)) for _ in range(5)]
        pipeline["bulkhead"].update(max_concurrent=3)
        await asyncio.sleep(0)
        assert (state(pipeline).in_flight, state(pipeline).queued, state(pipeline).max_concurrent) == (3, 2, 3)
        await asyncio.gather(*tasks)
        assert upstream.most == 3

    run_virtual(main)


def test_fewer_places_take_effect_as_calls_end_and_nobody_is_thrown_out():
    async def main(loop):
        pipeline = bulkhead(loop, 4)
        gates = [loop.create_future() for _ in range(6)]
        tasks = [await started(pipeline.call(lambda gate=gate: gate)) for gate in gates]
        pipeline["bulkhead"].update(max_concurrent=2)
        assert (state(pipeline).in_flight, state(pipeline).queued) == (4, 2)
        for gate, (running, queued) in zip(gates, [(3, 2), (2, 2), (2, 1), (2, 0), (1, 0), (0, 0)], strict=True):
            gate.set_result(None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (state(pipeline).in_flight, state(pipeline).queued) == (running, queued)
        await asyncio.gather(*tasks)
        pipeline["bulkhead"].update(max_concurrent=3)
        holders = [await started(pipeline.call(Script(hang))) for _ in range(4)]
        assert (state(pipeline).in_flight, state(pipeline).queued) == (3, 1)
        await cancel(*holders)

    run_virtual(main)


def test_places_taken_away_and_given_back_before_a_call_ended_are_the_same_places():
    async def main(loop):
        pipeline = bulkhead(loop, 3)
        holders = [await started(pipeline.call(Script(hang))) for _ in range(3)]
        for size in (1, 2, 3, 1, 5):
            pipeline["bulkhead"].update(max_concurrent=size)
            assert state(pipeline).in_flight == 3
        await cancel(*holders)
        upstream = Script(after(1.0))
        await asyncio.gather(*(pipeline.call(upstream) for _ in range(20)))
        assert upstream.most == 5
        assert state(pipeline).in_flight == 0

    run_virtual(main)


def test_a_bad_size_at_run_time_is_refused():
    pipeline = bulkhead(ManualClock(), 2)
    with pytest.raises(OptionsError):
        pipeline["bulkhead"].update(max_concurrent=0)
    assert state(pipeline).max_concurrent == 2


def test_a_retry_outside_does_not_hold_a_place_while_it_sleeps():
    async def main(loop):
        pipeline = Pipeline("search", Retry(initial_delay=5.0, jitter="none"), Bulkhead(max_concurrent=1), Timeout(1.0), clock=loop)
        sleeping = await started(pipeline.call(Script(ConnectionError(), "well")))
        await asyncio.sleep(1)
        assert await pipeline.call(Script("well")) == "well"
        assert await sleeping == "well"

    run_virtual(main)


def test_a_call_that_is_cut_gives_its_place_to_the_next():
    async def main(loop):
        pipeline = bulkhead(loop, 1, 10, None, Timeout(1.0))
        first, second = await started(pipeline.call(Script(hang))), await started(pipeline.call(Script("well")))
        with pytest.raises(TimedOut):
            await first
        assert await second == "well"

    run_virtual(main)


def test_a_listener_that_raises_leaks_no_place():
    class Broken(BaseException):
        pass

    def broken(event):
        raise Broken

    async def main(loop):
        pipeline = bulkhead(loop, 1, 0, None, Timeout(1.0))
        pipeline.subscribe(broken)
        holder = await started(pipeline.call(Script(hang)))
        with pytest.raises(Broken):
            await pipeline.call(Script("never"))
        with pytest.raises(Broken):
            await holder
        assert state(pipeline).in_flight == 0
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)
