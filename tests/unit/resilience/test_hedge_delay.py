"""When a hedge starts its second call, what it tells, and where it stands aside."""

import asyncio
import threading
from random import Random

import pytest

from sengol_api.resilience.hedge import HedgeStarted, HedgeWon
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, hang, run_virtual
from support.threads import in_threads
from support.toolkit.hedges import of, pipeline, timed


def test_the_delay_is_the_observed_quantile_of_the_first_calls():
    async def main(loop):
        upstream = pipeline(loop, delay=None)
        assert of(upstream).delay is None
        slow = Script(after(3.0, "slow"))
        await upstream.call(slow)
        assert len(slow.calls) == 1, "nothing is known yet, so there is no second call"
        for _ in range(100):
            await upstream.call(Script(after(0.2, "usual")))
        assert of(upstream).delay == pytest.approx(0.2, rel=0.03)
        work = Script(hang, "second")
        answer, took = await timed(loop, upstream.call(work))
        assert answer == "second"
        assert took == pytest.approx(0.2, rel=0.03)
        await asyncio.sleep(60.0)
        assert of(upstream).delay is None, "it forgets by the clock"

    run_virtual(main)


def test_the_delay_has_a_least_value_and_one_to_begin_with():
    async def main(loop):
        upstream = pipeline(loop, delay=None, min_delay=0.05, initial_delay=2.0)
        assert await timed(loop, upstream.call(Script(hang, "second"))) == ("second", 2.0)
        for _ in range(100):
            await upstream.call(Script("at once"))
        await asyncio.sleep(1.0)
        assert of(upstream).delay == 0.05

    run_virtual(main)


def test_losers_make_the_service_look_neither_faster_nor_slower_than_it_is():
    async def main(loop):
        upstream, chance, seen = pipeline(loop, delay=None, window=600.0), Random(7), []
        for _ in range(3000):
            await upstream.call(Script(after(chance.expovariate(1.0)), after(0.01)))
            seen.append(of(upstream).delay)
        assert min(seen[500:]) > 2.4  # the 95th percentile is 3.0; that of the calls that end before it is 2.3, and so on
        assert max(seen[500:]) < 4.5
        assert 90 < of(upstream).hedges < 165  # a twentieth of the calls is 150

    run_virtual(main)


def test_listeners_hear_of_second_calls_and_of_those_that_won():
    async def main(loop):
        upstream, heard = pipeline(loop), []
        upstream.subscribe(heard.append)
        await upstream.call(Script(hang, after(0.1, "second")))
        assert [type(each) for each in heard] == [HedgeStarted, HedgeWon]
        assert heard[0].delay == 0.5
        assert heard[1].took == pytest.approx(0.6)

    run_virtual(main)


def test_changed_options_hold_for_the_next_call():
    async def main(loop):
        upstream = pipeline(loop, delay=None)
        for _ in range(30):
            await upstream.call(Script(after(0.2)))
        upstream["hedge"].update(quantile=0.9)
        assert of(upstream).delay == pytest.approx(0.2, rel=0.03)
        upstream["hedge"].update(window=10.0)
        assert of(upstream).delay is None
        upstream["hedge"].update(delay=0.3, budget=0.0, burst=1.0)
        work = Script(after(1.0))
        await upstream.call(work)
        assert (len(work.calls), of(upstream).denied) == (2, 0), "what was saved up may still be spent"
        await upstream.call(work)
        assert (len(work.calls), of(upstream).denied) == (3, 1)

    run_virtual(main)


def test_a_plain_function_is_called_once():
    work = Script("answer")
    assert pipeline(ManualClock()).call_sync(work.sync) == "answer"
    assert len(work.calls) == 1


def test_without_an_event_loop_there_is_no_second_call_and_no_error():
    class Once:
        def __await__(self):
            yield "waiting"
            return "answer"

    async def work():
        return await Once()

    driven = pipeline(ManualClock()).call(work)
    assert driven.send(None) == "waiting"
    with pytest.raises(StopIteration) as ended:
        driven.send(None)
    assert ended.value.value == "answer"


def test_a_call_that_is_closed_from_outside_takes_its_second_call_with_it():
    async def main(loop):
        upstream, work = pipeline(loop), Script(hang)
        driven = upstream.call(work)
        driven.send(None)
        await asyncio.sleep(1.0)
        assert work.running == 2
        driven.close()
        await asyncio.sleep(0)
        assert (work.running, work.cancelled) == (0, 1)

    run_virtual(main)


def test_it_serves_two_event_loops_one_after_the_other():
    clock = VirtualLoop()
    upstream = pipeline(clock)
    for loop in (clock, VirtualLoop()):
        assert run_virtual(upstream.call(Script(hang, after(0.1, "second"))), loop=loop) == "second"
    assert of(upstream).won == 2


def test_eight_threads_with_a_loop_each_share_the_budget():
    upstream = pipeline(ManualClock(), budget=0.05)
    barrier = threading.Barrier(8)
    made = []

    def work():
        barrier.wait()
        for _ in range(50):
            slow = Script(after(1.0, "slow"))
            assert run_virtual(upstream.call(slow)) == "slow"
            made.append(len(slow.calls))

    assert in_threads(*[work] * 8) == [None] * 8
    assert len(made) == 400
    assert sum(made) <= 420
    assert (of(upstream).calls, of(upstream).hedges) == (400, sum(made) - 400)
