"""Classes of calls before an admission: what goes first, and who gives way in a full line."""

import asyncio

import pytest

from sengol_api.resilience import Overloaded
from sengol_api.resilience.priority import Priority
from sengol_api.resilience.testing import Script, hang, run_virtual
from support.toolkit.admissions import BATCH, CRITICAL, INTERACTIVE, admitting, end, in_turn, started, state


def test_the_higher_class_goes_first():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=10), []
        call = in_turn(pipeline, order)
        tasks = [await started(call("running"))]
        tasks += [await started(call(level.name), level) for level in (BATCH, INTERACTIVE, CRITICAL) * 2]
        assert state(pipeline).queued == {"batch": 2, "interactive": 2, "critical": 2}
        await asyncio.gather(*tasks)
        assert order == ["running", "CRITICAL", "CRITICAL", "INTERACTIVE", "INTERACTIVE", "BATCH", "BATCH"]

    run_virtual(main)


def test_in_a_full_line_a_higher_class_takes_the_place_of_the_lowest():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        running = await started(call("running"))
        batch = [await started(call(f"batch {number}"), BATCH) for number in range(3)]
        critical = await started(call("critical"), CRITICAL)
        displaced_at = loop.time()
        with pytest.raises(Overloaded, match="gave its place in line to one"):
            await batch[2]
        assert loop.time() == displaced_at, "it is told at once"
        await asyncio.gather(running, critical, *batch[:2])
        assert order == ["running", "critical", "batch 0", "batch 1"]
        assert state(pipeline).rejected == {"batch": 1, "interactive": 0, "critical": 0}

    run_virtual(main)


def test_a_class_that_fills_the_line_cannot_keep_another_out_of_it():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        running = await started(call("running"))
        critical = [await started(call(number), CRITICAL) for number in range(3)]
        batch = await started(call("batch"), BATCH)
        assert state(pipeline).queued == {"batch": 1, "interactive": 0, "critical": 2}
        another = await started(call("critical"), CRITICAL)  # the last one of a class is safe
        await asyncio.gather(running, batch, *critical, another, return_exceptions=True)
        assert order == ["running", 0, 1, "batch"]

    run_virtual(main)


def test_the_only_one_in_line_is_displaced_by_nobody():
    async def main(loop):
        pipeline = admitting(loop, max_queue=1)
        running = await started(pipeline.call(Script(hang)))
        first = await started(pipeline.call(Script()), BATCH)
        for level in (BATCH, INTERACTIVE, CRITICAL):
            with pytest.raises(Overloaded, match="full"):
                await (await started(pipeline.call(Script()), level))
        await end(running, first)

    run_virtual(main)


@pytest.mark.parametrize("greedy", [INTERACTIVE, CRITICAL])
def test_a_greedy_class_does_not_starve_another_for_ever(greedy):
    async def main(loop):
        pipeline = admitting(loop, max_queue=20, target_delay=0.5)
        done = dict.fromkeys(Priority, 0)

        async def work(level):
            await asyncio.sleep(0.01)
            done[level] += 1

        tasks = []
        for _ in range(400):
            tasks += [await started(pipeline.call(work, greedy), greedy) for _ in range(5)]
            tasks.append(await started(pipeline.call(work, BATCH), BATCH))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done[greedy] > 350
        assert done[BATCH] >= 400 // 18

    run_virtual(main)
