"""The numbers of an admission, to the very call, and what becomes of them when its options change."""

import asyncio
import itertools

import pytest

from sengol_api.resilience import Overloaded, deadline
from sengol_api.resilience.testing import Script, hang, run_virtual
from support.toolkit.admissions import BATCH, CRITICAL, INTERACTIVE, admitting, end, in_turn, overloaded, started, state


def test_a_class_that_waits_gets_each_seventeenth_place():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=100, interval=10.0), []
        call = in_turn(pipeline, order)
        tasks = [await started(call("running"))]
        tasks += [await started(call("batch"), BATCH) for _ in range(2)]
        tasks += [await started(call("interactive")) for _ in range(40)]
        await asyncio.gather(*tasks)
        assert [place for place, name in enumerate(order) if name == "batch"] == [17, 34]

    run_virtual(main)


def test_two_classes_that_are_passed_over_are_counted_by_themselves():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=100, interval=10.0), []
        call = in_turn(pipeline, order)
        tasks = [await started(call("running"))]
        tasks += [await started(call("batch"), BATCH), await started(call("interactive"))]
        tasks += [await started(call("critical"), CRITICAL) for _ in range(30)]
        await asyncio.gather(*tasks)
        assert (order.index("interactive"), order.index("batch")) == (17, 18)

    run_virtual(main)


def test_a_class_gets_the_seventeenth_place_also_when_another_has_been_passed_over_as_often():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=100, interval=10.0), []
        call = in_turn(pipeline, order)
        tasks = [await started(call("running"))]
        tasks += [await started(call("batch"), BATCH)]
        tasks += [await started(call("interactive")) for _ in range(3)]
        tasks += [await started(call("critical"), CRITICAL) for _ in range(16)]
        await asyncio.gather(*tasks)
        assert order[16:] == ["critical", "batch", "interactive", "interactive", "interactive"]

    run_virtual(main)


def test_what_one_is_told_of_the_wait_is_the_turn_that_one_would_get():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=100, interval=20.0), []
        call = in_turn(pipeline, order, seconds=0.125)
        tasks = [await started(call("one of many")) for _ in range(53)]
        await asyncio.sleep(0.3)
        tasks.append(await started(call("batch"), BATCH))
        assert state(pipeline).queued == {"batch": 1, "interactive": 50, "critical": 0}
        with deadline(1.0, clock=loop), pytest.raises(Overloaded, match="before its deadline") as refused:
            await (await started(call("in a hurry"), BATCH))
        before = len(order)
        tasks.append(await started(call("with time"), BATCH))
        await asyncio.gather(*tasks)
        assert refused.value.retry_after == 0.125 * len(order[before : order.index("with time") + 1])

    run_virtual(main)


def test_whose_turn_is_due_at_the_very_moment_of_his_deadline_may_wait_for_it():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100)
        call = in_turn(pipeline, [], seconds=0.125)
        tasks = [await started(call("one of many")) for _ in range(4)]
        await asyncio.sleep(0.28125)
        assert state(pipeline).queued["interactive"] == 1
        with deadline(0.25, clock=loop):  # the second place from now is due in two times 0.125 s
            assert await (await started(pipeline.call(Script("its turn")))) == "its turn"
        await end(*tasks)

    run_virtual(main)


def test_a_longer_line_is_in_force_at_once():
    async def main(loop):
        pipeline = admitting(loop, max_queue=1)
        tasks = [await started(pipeline.call(Script(hang))) for _ in range(2)]
        with pytest.raises(Overloaded, match="found the line full"):
            await (await started(pipeline.call(Script())))
        pipeline["admission"].update(max_queue=2)
        tasks.append(await started(pipeline.call(Script())))
        assert state(pipeline).queued["interactive"] == 2
        with pytest.raises(Overloaded, match="found the line full"):
            await (await started(pipeline.call(Script())))
        await end(*tasks)

    run_virtual(main)


def test_a_shorter_interval_and_target_are_in_force_at_once():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100)
        pipeline["admission"].update(interval=0.4, target_delay=0.2)
        tasks = [await started(pipeline.call(Script(hang)))]
        began = loop.time()
        with pytest.raises(Overloaded, match="waited in line"):
            await (await started(pipeline.call(Script())))
        assert loop.time() - began == pytest.approx(0.4)
        tasks += [await started(pipeline.call(Script()))]
        await asyncio.sleep(0.3)
        tasks += [await started(pipeline.call(Script()))]
        await asyncio.sleep(0.101)
        assert state(pipeline).overloaded, "somebody has waited all the time for 0.4 s"
        began = loop.time()
        with pytest.raises(Overloaded, match="waited in line"):
            await (await started(pipeline.call(Script())))
        assert loop.time() - began == pytest.approx(0.2)
        await end(*tasks)

    run_virtual(main)


def test_each_that_joins_a_standing_line_that_is_too_long_takes_two_out_of_it():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100, target_delay=0.25)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = await overloaded(pipeline, lambda: call("one of many"), every=0.02)
        lengths = []
        for _ in range(60):
            tasks.append(await started(call("newest"), INTERACTIVE))
            await asyncio.sleep(0)
            lengths.append(state(pipeline).queued["interactive"])
        assert lengths == sorted(lengths, reverse=True)
        assert {longer - shorter for longer, shorter in itertools.pairwise(lengths)} == {0, 1}
        assert lengths[-1] == 6, "twice as many as get their turn in 0.25 s, and the newest"
        await end(*tasks)

    run_virtual(main)


def test_under_overload_the_wait_is_that_of_the_whole_line_and_no_less_than_it_takes_to_tell():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100, target_delay=0.25)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = await overloaded(pipeline, lambda: call("one of many"), every=0.02)
        waiting = state(pipeline).queued["interactive"]
        assert pipeline["admission"].shed(INTERACTIVE).retry_after == pytest.approx(0.1 * (waiting + 1), rel=0.05)
        await asyncio.sleep(0.9)
        assert state(pipeline).overloaded
        assert state(pipeline).queued["interactive"] < 9
        assert pipeline["admission"].shed(INTERACTIVE).retry_after == 1.0
        await end(*tasks)

    run_virtual(main)


def test_under_overload_the_newest_needs_time_for_the_next_place_only():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=100, target_delay=0.25), []
        call = in_turn(pipeline, order, seconds=0.1)
        tasks = await overloaded(pipeline, lambda: call("one of many"), every=0.05)
        with deadline(0.15, clock=loop):
            newest = await started(call("newest"))
        await asyncio.sleep(0.1)
        assert order[-1] == "newest"
        await end(newest, *tasks)

    run_virtual(main)


def test_when_an_overload_is_over_one_waits_an_interval_again():
    async def main(loop):
        pipeline = admitting(loop, max_queue=100)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = await overloaded(pipeline, lambda: call("one of many"), every=0.05)
        await asyncio.sleep(5)
        tasks.append(await started(pipeline.call(Script(hang))))
        began = loop.time()
        with pytest.raises(Overloaded, match="waited in line"):
            await (await started(call("late")))
        assert loop.time() - began == pytest.approx(1.0)
        await end(*tasks)

    run_virtual(main)


def test_time_in_which_nobody_waits_says_nothing_of_how_fast_the_line_moves():
    async def main(loop):
        pipeline = admitting(loop, max_queue=2)
        call = in_turn(pipeline, [], seconds=0.1)
        for _ in range(3):
            await asyncio.gather(*[await started(call("one of three")) for _ in range(3)])
            await asyncio.sleep(60)
        tasks = [await started(call("one of three")) for _ in range(3)]
        with pytest.raises(Overloaded, match="found the line full") as refused:
            await (await started(call("one more")))
        assert refused.value.retry_after == pytest.approx(0.3)
        await end(*tasks)

    run_virtual(main)


def test_who_has_time_left_has_waited_and_not_missed_his_deadline():
    async def main(loop):
        for seconds, why in ((10, "waited in line as long as one may"), (0.5, "before its deadline")):
            pipeline = admitting(loop)
            running = await started(pipeline.call(Script(hang)))
            with deadline(seconds, clock=loop), pytest.raises(Overloaded, match=why):
                await pipeline.call(Script())
            await end(running)

    run_virtual(main)


@pytest.mark.parametrize(
    ("waiting", "comes", "gives_way"),
    [
        ({CRITICAL: 1, BATCH: 2}, CRITICAL, BATCH),
        ({INTERACTIVE: 3, BATCH: 2}, CRITICAL, BATCH),
        ({INTERACTIVE: 2}, BATCH, INTERACTIVE),
        ({INTERACTIVE: 1, BATCH: 1}, CRITICAL, None),
        ({INTERACTIVE: 2, BATCH: 1}, BATCH, None),
    ],
)
def test_in_a_full_line_the_lowest_class_that_has_two_gives_way(waiting, comes, gives_way):
    async def main(loop):
        pipeline = admitting(loop, max_queue=sum(waiting.values()))
        tasks = [await started(pipeline.call(Script(hang)))]
        tasks += [await started(pipeline.call(Script()), level) for level, number in waiting.items() for _ in range(number)]
        tasks.append(await started(pipeline.call(Script()), comes))
        await asyncio.sleep(0)
        due = dict(waiting)
        if gives_way is not None:
            due[gives_way] -= 1
            due[comes] = due.get(comes, 0) + 1
        assert state(pipeline).queued == {level.name.lower(): due.get(level, 0) for level in (BATCH, INTERACTIVE, CRITICAL)}
        await end(*tasks)

    run_virtual(main)
