"""Calls that are turned away before anything is done for them."""

import asyncio

import pytest

from sengol_api.resilience import Overloaded
from sengol_api.resilience.events import CallRejected
from sengol_api.resilience.testing import Script, hang, run_virtual
from support.toolkit.admissions import BATCH, CRITICAL, INTERACTIVE, admitting, end, in_turn, overloaded, started, state


async def overload(loop, *, every=0.05):
    """A pipeline that does a call in 0.1 s, to which two come in that time, until its line is a standing one."""
    pipeline = admitting(loop, max_queue=100, target_delay=0.25)
    call = in_turn(pipeline, [], seconds=0.1)

    def look():
        assert not pipeline["admission"].crowded(INTERACTIVE), "a line that is no standing one takes whoever comes"

    return pipeline, await overloaded(pipeline, lambda: call("one of many"), every=every, look=look)


def waiting(pipeline):
    return sum(state(pipeline).queued.values())


def test_it_is_crowded_while_more_wait_than_get_their_turn_in_time():
    async def main(loop):
        pipeline, tasks = await overload(loop)
        seen = set()
        while waiting(pipeline):
            queued, crowded = waiting(pipeline), pipeline["admission"].crowded(INTERACTIVE)
            assert crowded is (3 <= queued <= 6), f"{queued} wait; two get their turn in 0.25 s"
            seen.add(crowded)
            await asyncio.sleep(0.01)
        assert seen == {True, False}
        assert state(pipeline).overloaded
        assert not pipeline["admission"].crowded(INTERACTIVE), "nobody waits"
        await end(*tasks)

    run_virtual(main)


def test_in_a_line_from_before_the_overload_who_comes_takes_the_place_of_the_oldest():
    async def main(loop):
        pipeline, tasks = await overload(loop, every=0.01)
        assert waiting(pipeline) > 50
        assert not pipeline["admission"].crowded(INTERACTIVE)
        call = in_turn(pipeline, [], seconds=0.1)
        await (await started(call("newest")))
        while waiting(pipeline) > 6:
            assert not pipeline["admission"].crowded(INTERACTIVE)
            tasks.append(await started(call("one more")))
        assert waiting(pipeline) == 6, "twice as many as get their turn in time, and the newest"
        assert pipeline["admission"].crowded(INTERACTIVE)
        await end(*tasks)

    run_virtual(main)


def test_a_class_sees_those_above_it_and_not_those_below():
    async def main(loop):
        pipeline, tasks = await overload(loop)
        await asyncio.sleep(0.55)
        assert 3 <= waiting(pipeline) <= 6
        admission = pipeline["admission"]
        assert [admission.crowded(level) for level in (BATCH, INTERACTIVE, CRITICAL)] == [True, True, False]
        await end(*tasks)

    run_virtual(main)


def test_where_a_turn_takes_longer_than_one_may_wait_one_waits_all_the_same():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100, target_delay=0.05, interval=0.5)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = await overloaded(pipeline, lambda: call("one of many"), every=0.05)
        while waiting(pipeline):
            assert pipeline["admission"].crowded(INTERACTIVE) is (waiting(pipeline) <= 2)
            await asyncio.sleep(0.01)
        assert not pipeline["admission"].crowded(INTERACTIVE)
        batch = await started(call("batch"), BATCH)
        assert state(pipeline).overloaded
        assert not pipeline["admission"].crowded(INTERACTIVE), "nobody of the class waits"
        await end(batch, *tasks)

    run_virtual(main)


def test_a_line_of_which_nothing_is_known_takes_whoever_comes():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100)
        tasks = await overloaded(pipeline, lambda: pipeline.call(Script(hang)), every=0.3)
        assert waiting(pipeline)
        assert not pipeline["admission"].crowded(INTERACTIVE)
        await end(*tasks)

    run_virtual(main)


def test_for_one_that_gives_way_to_everybody_it_is_crowded_where_no_place_is_free():
    async def main(loop):
        pipeline = admitting(loop, max_concurrent=2)
        admission, call = pipeline["admission"], in_turn(pipeline, [])
        running = [await started(call("running"))]
        assert not admission.crowded(CRITICAL, yields=True)
        running.append(await started(call("running")))
        assert admission.crowded(CRITICAL, yields=True)
        assert not admission.crowded(BATCH)
        await asyncio.gather(*running)
        assert not admission.crowded(BATCH, yields=True)

    run_virtual(main)


def test_a_call_that_is_shed_counts_as_turned_away():
    async def main(loop):
        pipeline, tasks = await overload(loop)
        told = []
        pipeline.subscribe(told.append, CallRejected)
        before = state(pipeline)
        error = pipeline["admission"].shed(INTERACTIVE)
        assert isinstance(error, Overloaded)
        assert "was shed before anything was done for it" in str(error)
        assert error.retry_after >= 1.0
        assert state(pipeline).reasons["crowded"] == before.reasons["crowded"] + 1
        assert state(pipeline).rejected["interactive"] == before.rejected["interactive"] + 1
        assert len(told) == 1
        await end(*tasks)

    run_virtual(main)


def test_the_wait_is_told_from_the_line_even_where_nothing_is_known_of_it_yet():
    async def main(loop):
        error = admitting(loop)["admission"].shed(BATCH)
        assert error.retry_after == pytest.approx(1.0)
        pipeline = admitting(loop, interval=0.5)
        tasks = await overloaded(pipeline, lambda: pipeline.call(Script(hang)), every=0.1)
        assert pipeline["admission"].shed(BATCH).retry_after == 0.5
        await end(*tasks)

    run_virtual(main)


@pytest.mark.parametrize(("level", "patience"), [(BATCH, 1.0), (INTERACTIVE, 0.25), (CRITICAL, 0.25)])
def test_an_overload_goes_on_while_callers_are_turned_away_for_them_and_those_below(level, patience):
    async def main(loop):
        pipeline, tasks = await overload(loop)
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(20):
            pipeline["admission"].shed(level)
            await asyncio.sleep(0.1)
        assert state(pipeline).overloaded
        running = await started(pipeline.call(Script(hang)))
        began = loop.time()
        with pytest.raises(Overloaded, match="waited in line"):
            await (await started(pipeline.call(Script()), INTERACTIVE))
        assert loop.time() - began == pytest.approx(patience)
        await end(running)

    run_virtual(main)
