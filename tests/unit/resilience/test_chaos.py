"""Trouble on purpose: at the rates asked for, the same each time, and recognisable."""

import asyncio
import threading

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, DeadlineExceeded, OptionsError, Pipeline, Retry, Timeout, deadline
from sengol_api.resilience.chaos import Chaos, ChaosInjected
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, run_virtual


def pipeline(clock, **options):
    return Pipeline("upstream", Chaos(**{"seed": 7, **options}), clock=clock)


def of(upstream):
    return upstream.snapshot()["chaos"]


def met(upstream, times=200):
    """Which of so many calls met a fault."""
    faults = []
    for call in range(times):
        try:
            upstream.call_sync(str)
        except ConnectionError:
            faults.append(call)
    return faults


def test_by_default_nothing_happens():
    upstream = Pipeline("upstream", Chaos(), clock=ManualClock())
    assert met(upstream) == []
    assert (of(upstream).calls, of(upstream).faults, of(upstream).delayed, of(upstream).results) == (200, 0, 0, 0)


def test_faults_come_at_their_rate_marked_and_counted_and_the_work_is_not_done():
    async def main(loop):
        upstream, work = pipeline(loop, fault_rate=0.3), Script("answer")
        errors = []
        for _ in range(1000):
            try:
                assert await upstream.call(work) == "answer"
            except ConnectionError as error:
                errors.append(error)
        assert all(each.injected for each in errors)
        assert len(errors) == of(upstream).faults == 1000 - len(work.calls)
        assert 250 < len(errors) < 350
        assert len({id(each) for each in errors}) == len(errors), "each is a new one"

    run_virtual(main)


def test_the_same_seed_gives_the_same_sequence_and_another_seed_another():
    first = met(pipeline(ManualClock(), fault_rate=0.2))
    assert met(pipeline(ManualClock(), fault_rate=0.2)) == first
    assert met(pipeline(ManualClock(), fault_rate=0.2, seed=8)) != first


def test_another_rate_changes_nothing_about_the_calls_that_were_met_already():
    few = met(pipeline(ManualClock(), fault_rate=0.1))
    assert set(few) < set(met(pipeline(ManualClock(), fault_rate=0.3)))
    assert met(pipeline(ManualClock(), fault_rate=0.1, latency_rate=0.5, result_rate=0.5)) == few


def test_it_can_be_switched_off_and_on_at_run_time_and_the_sequence_goes_on_where_it_was():
    whole, upstream = met(pipeline(ManualClock(), fault_rate=0.2)), pipeline(ManualClock(), fault_rate=0.2)
    first = met(upstream, 100)
    upstream["chaos"].disable()
    assert met(upstream) == []
    assert (of(upstream).enabled, of(upstream).calls) == (False, 100)
    upstream["chaos"].enable()
    assert first + [100 + call for call in met(upstream, 100)] == whole
    upstream["chaos"].update(seed=7)
    assert met(upstream, 100) != first, "the seed is the one that it has, so nothing begins anew"
    upstream["chaos"].update(seed=8)
    upstream["chaos"].update(seed=7)
    assert met(upstream, 100) == first


def test_without_a_seed_chance_is_that_of_the_pipeline():
    from random import Random

    def upstream():
        return Pipeline("upstream", Chaos(fault_rate=0.2), clock=ManualClock(), random=Random(1))

    assert met(upstream()) == met(upstream()) != []


def test_a_delay_is_fixed_or_between_two_bounds():
    async def main(loop):
        upstream = pipeline(loop, latency_rate=1.0, latency=0.5)
        start = loop.now()
        assert await upstream.call(Script("answer")) == "answer"
        assert loop.now() - start == 0.5
        upstream["chaos"].update(latency=(1.0, 3.0))
        took = []
        for _ in range(100):
            start = loop.now()
            await upstream.call(Script("answer"))
            took.append(loop.now() - start)
        assert 1.0 <= min(took) < 1.2
        assert 2.8 < max(took) <= 3.0
        assert of(upstream).delayed == 101

    run_virtual(main)


def test_a_plain_function_is_delayed_as_well():
    clock = ManualClock()
    upstream = pipeline(clock, latency_rate=1.0, latency=0.5, result_rate=1.0, result="wrong")
    assert upstream.call_sync(Script("right").sync) == "wrong"
    assert clock.slept == [0.5]
    with deadline(0.2, clock=clock), pytest.raises(DeadlineExceeded):
        upstream.call_sync(Script("right").sync)
    assert clock.slept == [0.5, pytest.approx(0.2)]


def test_a_delay_ends_at_the_deadline_of_the_caller():
    async def main(loop):
        upstream, work = pipeline(loop, latency_rate=1.0, latency=60.0), Script("answer")
        with deadline(2.0, clock=loop):
            task = asyncio.create_task(upstream.call(work))
        start = loop.now()
        with pytest.raises(DeadlineExceeded):
            await task
        assert loop.now() - start == pytest.approx(2.0)
        assert work.calls == []

    run_virtual(main)


def test_a_delayed_call_that_is_cancelled_is_not_made():
    async def main(loop):
        upstream, work = pipeline(loop, latency_rate=1.0), Script("answer")
        task = asyncio.create_task(upstream.call(work))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.calls == []

    run_virtual(main)


def test_a_wrong_result_is_a_value_or_made_of_the_right_one():
    async def main(loop):
        upstream, work = pipeline(loop, result_rate=1.0), Script([1, 2, 3])
        assert await upstream.call(work) is None
        upstream["chaos"].update(result=lambda right: right[:1])
        assert await upstream.call(work) == [1]
        assert (len(work.calls), of(upstream).results) == (2, 2)

    run_virtual(main)


def test_the_policies_around_it_take_a_fault_for_one_of_the_service():
    async def main(loop):
        upstream = Pipeline("upstream", Retry(), CircuitBreaker(), Timeout(1.0), Chaos(fault_rate=1.0), clock=loop)
        with pytest.raises(ConnectionError):
            await upstream.call(Script("answer"))
        with pytest.raises(CircuitOpen):
            await upstream.call(Script("answer"))
        assert upstream.snapshot()["circuit_breaker"].state == "OPEN"

    run_virtual(main)


def test_a_fault_may_be_any_exception_even_one_that_cannot_be_marked():
    class BareError(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    with pytest.raises(BareError):
        pipeline(ManualClock(), fault_rate=1.0, fault=BareError).call_sync(str)
    with pytest.raises(TypeError, match="fault gave 'no error', which is no exception"):
        pipeline(ManualClock(), fault_rate=1.0, fault=lambda: "no error").call_sync(str)
    with pytest.raises(LookupError, match="the factory's own"):
        pipeline(ManualClock(), fault_rate=1.0, fault=Script(LookupError("the factory's own")).sync).call_sync(str)


def test_listeners_hear_of_all_that_was_done():
    upstream, heard = pipeline(ManualClock(), fault_rate=1.0, latency_rate=1.0, latency=0.5), []
    upstream.subscribe(heard.append, ChaosInjected)
    met(upstream, 1)
    upstream["chaos"].update(fault_rate=0.0, latency_rate=0.0, result_rate=1.0)
    met(upstream, 1)
    assert [(each.what, each.latency) for each in heard] == [("latency", 0.5), ("fault", 0.0), ("result", 0.0)]


def test_it_serves_two_event_loops_one_after_the_other():
    clock = VirtualLoop()
    upstream = pipeline(clock, latency_rate=1.0)
    for loop in (clock, VirtualLoop()):
        assert run_virtual(upstream.call(Script("answer")), loop=loop) == "answer"


def test_eight_threads_meet_as_many_faults_as_one():
    upstream, alone = pipeline(ManualClock(), fault_rate=0.3), pipeline(ManualClock(), fault_rate=0.3)
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        met(upstream, 250)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert of(upstream).faults == len(met(alone, 2000))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fault_rate": 1.5}, "fault_rate=1.5 is not allowed, it takes a number from 0 to 1"),
        ({"latency_rate": -0.1}, "latency_rate=-0.1 is not allowed"),
        ({"result_rate": float("nan")}, "result_rate=nan is not allowed"),
        ({"latency": -1}, "latency=-1 is not allowed, it takes a number of at least 0, or two of them"),
        ({"latency": (1.0,)}, "is not allowed"),
        ({"latency": (3.0, 1.0)}, r"latency=\(3.0, 1.0\) has its shortest delay above its longest"),
        ({"fault": ConnectionError()}, "is not allowed, it takes a plain function"),
        ({"enabled": 1}, "enabled=1 is not allowed"),
        ({"seed": -1}, "seed=-1 is not allowed"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, says):
    with pytest.raises(OptionsError, match=says):
        Chaos(**options)


def test_it_is_refused_outside_of_other_policies():
    with pytest.raises(OptionsError, match="put chaos last"):
        Pipeline("upstream", Chaos(), Retry())
