"""Admission around calls."""

import asyncio

import pytest

from sengol_api.resilience import Overloaded, Pipeline, Timeout, deadline
from sengol_api.resilience.adaptive.policy import AdaptiveLimit
from sengol_api.resilience.admission.codel import ControlledDelay
from sengol_api.resilience.admission.line import Line
from sengol_api.resilience.admission.policy import Admission, OverloadBegan, OverloadEnded
from sengol_api.resilience.priority import Priority
from sengol_api.resilience.testing import ManualClock, Script, hang, run_virtual
from support.queueing import offer
from support.toolkit.admissions import BATCH, CRITICAL, INTERACTIVE, admitting, end, in_turn, overloaded, started, state


def test_calls_wait_for_a_place_first_come_first_served():
    async def main(loop):
        pipeline, order = admitting(loop), []
        call = in_turn(pipeline, order)
        await asyncio.gather(*(call(number) for number in range(4)))
        assert order == [0, 1, 2, 3]
        assert (state(pipeline).in_flight, state(pipeline).queued) == (0, {"batch": 0, "interactive": 0, "critical": 0})

    run_virtual(main)


def test_one_more_than_the_line_holds_is_refused_with_a_wait():
    async def main(loop):
        pipeline = admitting(loop)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = [await started(call(number)) for number in range(4)]
        with pytest.raises(Overloaded, match="found the line full") as refused:
            await call("one more")
        assert refused.value.retry_after == 1.0  # nothing is known yet but the interval
        await asyncio.gather(*tasks)
        tasks = [await started(call(number)) for number in range(4)]
        with pytest.raises(Overloaded) as refused:
            await call("one more")
        assert refused.value.retry_after == pytest.approx(0.4, rel=0.05)  # four places, one each 0.1 s
        assert state(pipeline).rejected == {"batch": 0, "interactive": 2, "critical": 0}
        assert state(pipeline).reasons == {"full": 2, "crowded": 0, "displaced": 0, "overtaken": 0, "waited": 0, "deadline": 0}
        await asyncio.gather(*tasks)

    run_virtual(main)


def test_without_a_queue_nobody_waits():
    async def main(loop):
        pipeline = admitting(loop, max_queue=0)
        running = await started(pipeline.call(Script(hang)))
        for level in Priority:
            with pytest.raises(Overloaded):
                await (await started(pipeline.call(Script()), level))
        await end(running)

    run_virtual(main)


def test_under_overload_waits_are_short_and_the_newest_goes_first():
    async def main(loop):
        pipeline, told, order = admitting(loop, max_queue=100), [], []
        pipeline.subscribe(told.append, OverloadBegan, OverloadEnded)
        call = in_turn(pipeline, order, seconds=0.06)
        tasks = [await started(call("old")) for _ in range(20)]
        await asyncio.sleep(0.95)
        assert not told
        await asyncio.sleep(0.06)
        first = await started(call("first"))
        second = await started(call("second"))
        assert [type(event) for event in told] == [OverloadBegan]
        assert told[0].queued >= 1
        assert state(pipeline).overloaded
        await asyncio.sleep(0.05)
        assert order[-1] == "second"
        await asyncio.gather(*tasks, first, second, return_exceptions=True)
        await asyncio.sleep(0.2)
        await call("calm again")
        assert [type(event) for event in told] == [OverloadBegan, OverloadEnded]
        assert not state(pipeline).overloaded

    run_virtual(main)


@pytest.mark.parametrize("plain", [False, True])
def test_an_overload_is_told_as_soon_as_one_more_comes(plain):
    async def main(loop):
        pipeline, told = admitting(loop, max_queue=100, target_delay=1.0), []
        pipeline.subscribe(lambda _: told.append(loop.time()), OverloadBegan)
        call = in_turn(pipeline, [], seconds=0.1)
        tasks = await overloaded(pipeline, lambda: call("one of many"), every=0.05)
        assert not told
        began = loop.time()
        if plain:
            with pytest.raises(Overloaded):  # a plain function holds up the loop, and so all who could give it a place
                pipeline.call_sync(int)
        else:
            tasks.append(await started(call("one more")))
        assert told == [began]
        assert pipeline["admission"].overloaded
        await end(*tasks)

    run_virtual(main)


def test_under_overload_who_has_too_many_newer_ones_before_him_is_told_at_once():
    async def main(loop):
        pipeline, order, refused = admitting(loop, max_queue=100, target_delay=0.25), [], []
        call = in_turn(pipeline, order, seconds=0.1)

        async def come(name, level=INTERACTIVE):
            came = loop.now()
            try:
                await call(name)
            except Overloaded as error:
                refused.append((name, level, loop.now() - came, str(error)))

        alone = await started(come("batch", BATCH), BATCH)
        tasks = []
        for number in range(400):
            tasks.append(await started(come(number)))
            if number == 300:  # by then those who came before the overload, and may wait longer, are gone
                assert state(pipeline).overloaded
                assert state(pipeline).queued["interactive"] <= 6  # as many as get a turn in twice 0.25 s, and the one that runs
                seen = len(refused)
            await asyncio.sleep(0.01)
        await asyncio.gather(alone, *tasks)
        late = refused[seen:-6]
        assert {message.partition(": ")[2] for *_, message in late} != set()
        assert max(waited for _, _, waited, _ in late) < 0.07
        assert state(pipeline).reasons["overtaken"] >= len(late)
        assert len(order) >= 40  # one each 0.1 s, as before
        assert order[-1] > 390  # and of the last ones, those that can still be served are

    run_virtual(main)


def test_who_waits_alone_in_his_class_is_overtaken_by_none():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=100, target_delay=0.25), []
        call = in_turn(pipeline, order, seconds=0.2)
        crowd = []
        for number in range(120):
            crowd.append(await started(call(number)))
            await asyncio.sleep(0.01)
        batch = await started(call("batch"), BATCH)
        for number in range(120, 140):
            crowd.append(await started(call(number)))
            await asyncio.sleep(0.01)
        assert not batch.done()
        assert state(pipeline).queued["batch"] == 1
        await end(batch, *crowd)

    run_virtual(main)


def test_a_crowd_of_a_lower_class_shortens_the_patience_of_nobody_above_it():
    async def main(loop):
        pipeline, order = admitting(loop, max_queue=50, target_delay=0.1, interval=1.0), []
        call = in_turn(pipeline, order, seconds=0.4)

        tasks = []
        for number in range(200):
            tasks.append(await started(call(f"batch {number}"), BATCH))
            if number == 105:
                assert state(pipeline).overloaded
                people = [await started(call(name)) for name in ("one", "two")]
            await asyncio.sleep(0.02)
        await asyncio.gather(*people)
        assert [name for name in order if not name.startswith("batch")] == ["one", "two"]
        await end(*tasks)

    run_virtual(main)


def test_a_call_that_waited_as_long_as_one_may_is_refused():
    async def main(loop):
        pipeline = admitting(loop)
        running = await started(pipeline.call(Script(hang)))
        with pytest.raises(Overloaded, match="waited in line as long as one may") as refused:
            await pipeline.call(Script())
        assert loop.now() == pytest.approx(1001.0)
        assert refused.value.retry_after >= 1.0
        assert state(pipeline).reasons["waited"] == 1
        await end(running)

    run_virtual(main)


def test_a_call_does_not_wait_past_its_deadline():
    async def main(loop):
        pipeline = admitting(loop)
        running = await started(pipeline.call(Script(hang)))
        line = pipeline["admission"]
        with deadline(0.5, clock=loop):
            began = loop.now()
            with pytest.raises(Overloaded, match="could not get its turn before its deadline"):
                await asyncio.ensure_future(pipeline.call(Script()))
        assert loop.now() - began == pytest.approx(0.5, abs=0.01)
        assert line.snapshot().queued["interactive"] == 0
        await end(running)

    run_virtual(main)


def test_a_call_whose_deadline_the_line_cannot_meet_is_refused_at_once():
    async def main(loop):
        pipeline = admitting(loop, max_queue=50)
        call = in_turn(pipeline, [], seconds=0.05)
        tasks = [await started(call(number)) for number in range(15)]
        await asyncio.sleep(0.3)
        began = loop.now()
        with deadline(0.1, clock=loop), pytest.raises(Overloaded, match="before its deadline") as refused:
            await call("in a hurry")
        assert loop.now() == began
        assert refused.value.retry_after == pytest.approx(0.5, abs=0.1)
        with deadline(0.2, clock=loop):
            await (await started(call("critical"), CRITICAL))  # nobody is before it
        await asyncio.gather(*tasks)

    run_virtual(main)


@pytest.mark.parametrize("load", [2.0, 10.0])
def test_under_overload_goodput_stays_at_its_peak_and_the_admitted_are_quick(load):
    result = offer(load, Admission(max_concurrent=10), Timeout(1.0), seconds=8.0)
    assert result.goodput >= 0.95
    assert result.quantile(0.99) <= 0.21  # 0.1 s in line and 0.1 s of work


def test_under_overload_an_adaptive_admission_does_as_well():
    result = offer(5.0, Admission(max_concurrent=AdaptiveLimit(window=0.25)), Timeout(1.0), seconds=8.0)
    assert result.goodput >= 0.95
    assert result.quantile(0.99) <= 0.4


def test_it_serves_two_event_loops_in_a_row():
    pipeline = Pipeline("api", Admission(max_concurrent=1))

    async def main():
        return await asyncio.gather(*(pipeline.call(asyncio.sleep, 0, number) for number in range(5)))

    assert asyncio.run(main()) == asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_a_place_that_is_free_for_a_moment_is_not_taken_from_those_in_line():
    async def main(loop):
        line = Line(1, 1, ControlledDelay(0.1, 1.0), loop.now)
        assert line.enter()
        waiting = await started(line.wait(INTERACTIVE, None))
        line.running -= 1  # another thread has given it back, and not yet handed it on
        assert not line.enter()
        line.running += 1
        line.release()
        await waiting

    run_virtual(main)


def test_a_line_says_nothing_of_its_speed_before_it_has_moved():
    assert Line(1, 1, ControlledDelay(0.1, 1.0), ManualClock().now).retry_after is None
