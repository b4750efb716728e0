"""Trying again, where that can help."""

import asyncio
import threading

import pytest

from sengol_api.resilience import (
    OptionsError,
    Pipeline,
    Retry,
    deadline,
)
from sengol_api.resilience.budget import RetryBudget
from sengol_api.resilience.history import attempts_of
from sengol_api.resilience.retry import RetryGaveUp, Retrying
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.toolkit.retries import asking, upstream


def heard(pipeline, *types):
    events = []
    pipeline.subscribe(events.append, *types)
    return events


# What is tried again


def test_the_defaults_are_those_of_the_guide():
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(jitter="none"), clock=clock)
    work = Script(ConnectionError)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(work.sync)
    assert len(work.calls) == 4
    assert clock.slept == [1.0, 2.0, 4.0]


def test_a_call_that_fails_and_then_works_gives_its_answer():
    async def main(loop):
        pipeline = upstream(loop)
        began = loop.now()
        assert await pipeline.call(Script(ConnectionError, TimeoutError, "answer"), 1, k=2) == "answer"
        assert loop.now() - began == pytest.approx(3.0)
        snapshot = pipeline.snapshot()["retry"]
        assert (snapshot.calls, snapshot.retries, sum(snapshot.gave_up.values())) == (1, 2, 0)

    run_virtual(main)


def test_each_attempt_gets_the_same_arguments():
    work = Script(ConnectionError, "answer")
    upstream(ManualClock()).call_sync(work.sync, 1, k=2)
    assert work.calls == [((1,), {"k": 2})] * 2


def test_an_error_that_will_not_pass_is_not_tried_again():
    work = Script(LookupError)
    pipeline = upstream(ManualClock())
    with pytest.raises(LookupError):
        pipeline.call_sync(work.sync)
    assert len(work.calls) == 1
    assert sum(pipeline.snapshot()["retry"].gave_up.values()) == 0


@pytest.mark.parametrize("retry_on", [KeyError, (ValueError, KeyError), lambda error: isinstance(error, LookupError)])
def test_the_caller_says_what_is_tried_again(retry_on):
    assert upstream(ManualClock(), retry_on=retry_on).call_sync(Script(KeyError, "answer").sync) == "answer"


def test_a_result_that_is_not_accepted_is_tried_again_and_the_last_one_returned():
    async def main(loop):
        pipeline = upstream(loop, retry_on_result=lambda result: result < 3)
        assert await pipeline.call(Script(1, 2, 3)) == 3
        events = heard(pipeline)
        assert await pipeline.call(Script(1, 1, 1, 2)) == 2
        assert [type(event) for event in events] == [Retrying, Retrying, Retrying, RetryGaveUp]
        assert events[-1].bound == "attempts"
        assert events[-1].error is None

    run_virtual(main)


def test_a_result_of_a_plain_function_is_judged_as_well():
    pipeline = upstream(ManualClock(), retry_on_result=lambda result: result is None)
    assert pipeline.call_sync(Script(None, ConnectionError, "answer").sync) == "answer"
    assert pipeline.call_sync(Script(None).sync) is None


def test_no_retries_are_a_plain_call():
    pipeline = upstream(ManualClock(), max_retries=0)
    work = Script(ConnectionError)
    with pytest.raises(ConnectionError) as raised:
        pipeline.call_sync(work.sync)
    assert len(work.calls) == 1
    assert attempts_of(raised.value) == ()


def test_a_predicate_that_raises_says_no_and_the_caller_gets_the_error_of_the_work(monkeypatch):
    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)

    def broken(outcome):
        raise KeyError(outcome)

    pipeline = upstream(ManualClock(), retry_on=broken, retry_on_result=broken)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    assert pipeline.call_sync(Script("answer").sync) == "answer"
    assert [each.exc_type for each in told] == [KeyError, KeyError]


def test_an_error_whose_retry_after_raises_reaches_the_caller_as_it_is(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)

    class AnswerError(Exception):
        @property
        def retry_after(self):
            raise KeyError("no such header")

    with pytest.raises(AnswerError):
        upstream(ManualClock(), retry_on=AnswerError).call_sync(Script(AnswerError).sync)


# Events, statistics, options


def test_listeners_hear_of_each_retry_and_of_giving_up():
    pipeline = upstream(ManualClock())
    events = heard(pipeline)
    errors = [ConnectionError(number) for number in range(4)]
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(*errors).sync)
    assert [(event.attempt, event.delay, event.error) for event in events[:3]] == [
        (1, 1.0, errors[0]),
        (2, 2.0, errors[1]),
        (3, 4.0, errors[2]),
    ]
    assert (events[3].attempts, events[3].bound, events[3].error) == (4, "attempts", errors[3])


def test_what_ended_the_calls_is_counted():
    clock = ManualClock()
    pipeline = upstream(clock, max_wait=5.0, budget=RetryBudget(ratio=0.0, per_second=0.3))
    for work in (Script(ConnectionError), Script(asking(6.0)), Script(ConnectionError)):
        with pytest.raises(ConnectionError):
            pipeline.call_sync(work.sync)
    with deadline(0.5, clock=clock), pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    snapshot = pipeline.snapshot()["retry"]
    assert snapshot.calls == 4
    assert snapshot.gave_up == {"attempts": 1, "budget": 1, "deadline": 1, "wait": 1}


def test_a_call_under_way_finishes_on_the_options_it_started_with():
    async def main(loop):
        pipeline = upstream(loop)
        work = Script(ConnectionError)
        task = asyncio.ensure_future(pipeline.call(work))
        await asyncio.sleep(0.5)
        pipeline["retry"].update(max_retries=0, retry_on=KeyError)
        with pytest.raises(ConnectionError):
            await task
        assert len(work.calls) == 4
        with pytest.raises(ConnectionError):
            await pipeline.call(work)
        assert len(work.calls) == 5

    run_virtual(main)


def test_a_budget_that_is_taken_away_by_another_thread_breaks_no_retry():
    clock = ManualClock()
    pipeline = upstream(clock, max_retries=50, initial_delay=0.0, budget=RetryBudget())
    stop = threading.Event()

    def change():
        while not stop.is_set():
            pipeline["retry"].update(budget=None)
            pipeline["retry"].update(budget=RetryBudget())

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(200):
            with pytest.raises(ConnectionError):
                pipeline.call_sync(Script(ConnectionError).sync)
            assert pipeline.snapshot()["retry"].calls > 0
    finally:
        stop.set()
        changing.join()


def test_eight_threads_share_one_retry():
    pipeline = upstream(ManualClock())
    works = [Script(ConnectionError, ConnectionError, "answer") for _ in range(8)]
    together, answers = threading.Barrier(8), []

    def run(work):
        together.wait()
        answers.append(pipeline.call_sync(work.sync))

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["answer"] * 8
    assert pipeline.snapshot()["retry"].retries == 16


def test_two_event_loops_in_a_row_share_one_retry():
    pipeline = Pipeline("upstream", Retry(initial_delay=0.0))
    for _ in range(2):
        assert asyncio.run(pipeline.call(Script(ConnectionError, "answer"))) == "answer"
    assert pipeline.snapshot()["retry"].retries == 2


def test_decorated_functions_of_both_kinds_are_tried_again():
    async def main(loop):
        pipeline = upstream(loop)
        works = Script(ConnectionError, "answer"), Script(ConnectionError, "answer")

        @pipeline
        async def query():
            return await works[0]()

        @pipeline
        def query_sync():
            return works[1].sync()

        assert await query() == "answer"
        assert query_sync() == "answer"

    run_virtual(main)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_retries": -1}, "max_retries=-1 is not allowed, it takes a whole number of at least 0"),
        ({"max_retries": 1.5}, "max_retries=1.5"),
        ({"initial_delay": float("nan")}, "initial_delay=nan"),
        ({"max_delay": 0}, "max_delay=0"),
        ({"multiplier": 0.5}, "multiplier=0.5"),
        ({"jitter": "some"}, "it takes one of none, full, equal, proportional, decorrelated"),
        ({"budget": 0.2}, "budget=0.2"),
        ({"max_wait": float("inf")}, "max_wait=inf"),
        ({"initial_delay": 11.0}, "initial_delay=11.0 is above max_delay=10.0, it must not be"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(OptionsError) as refused:
        Retry(**options)
    assert told in str(refused.value)
