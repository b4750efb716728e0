"""Trying again, where that can help."""

import asyncio
import threading
from random import Random

import pytest

from sengol_api.resilience import (
    CircuitBreaker,
    CircuitOpen,
    OptionsError,
    Pipeline,
    RateLimited,
    Rejected,
    Retry,
    Timeout,
    deadline,
)
from sengol_api.resilience.budget import RetryBudget
from sengol_api.resilience.history import attempts_of
from sengol_api.resilience.retry import RetryGaveUp, Retrying
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual

NO_JITTER = {"jitter": "none", "budget": None}


def upstream(clock, *policies, **options):
    return Pipeline("upstream", Retry(**{**NO_JITTER, **options}), *policies, clock=clock)


def asking(wait, kind=ConnectionError):
    error = kind("busy")
    error.retry_after = wait
    return error


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


# Waits that a server asks for


def test_a_server_is_never_called_earlier_than_it_said():
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(budget=None), clock=clock, random=Random(7))
    for _ in range(200):
        pipeline.call_sync(Script(asking(3.0), "answer").sync)
    assert min(clock.slept) >= 3.0
    assert max(clock.slept) <= 3.3
    assert len(set(clock.slept)) > 100  # nor do all come at the moment that it named


def test_a_wait_shorter_than_our_own_delay_does_not_shorten_that():
    clock = ManualClock()
    upstream(clock, initial_delay=5.0).call_sync(Script(asking(3.0), "answer").sync)
    assert clock.slept == [5.0]


def test_a_longer_wait_than_allowed_ends_the_call_at_once_with_its_own_error():
    clock = ManualClock()
    pipeline = upstream(clock, max_wait=20.0)
    error = asking(21.0)
    with pytest.raises(ConnectionError) as raised:
        pipeline.call_sync(Script(error).sync)
    assert raised.value is error
    assert clock.slept == []
    assert pipeline.snapshot()["retry"].gave_up["wait"] == 1
    assert pipeline.call_sync(Script(asking(20.0), "answer").sync) == "answer"


def test_a_wait_that_does_not_fit_the_deadline_ends_the_call_at_once_with_its_own_error():
    async def main(loop):
        pipeline = upstream(loop)
        began = loop.now()
        with deadline(5.0, clock=loop), pytest.raises(ConnectionError, match="busy"):
            await pipeline.call(Script(asking(6.0)))
        assert loop.now() == began
        assert pipeline.snapshot()["retry"].gave_up["deadline"] == 1

    run_virtual(main)


def test_nothing_sleeps_past_the_deadline():
    async def main(loop):
        pipeline = upstream(loop, max_retries=100, max_delay=1.0)
        work, began = Script(ConnectionError), loop.now()
        with deadline(3.5, clock=loop), pytest.raises(ConnectionError):
            await pipeline.call(work)
        assert len(work.calls) == 4
        assert loop.now() - began == pytest.approx(3.0)

    run_virtual(main)


def test_the_deadline_of_a_plain_function_holds_as_well():
    clock = ManualClock()
    with deadline(2.5, clock=clock), pytest.raises(ConnectionError):
        upstream(clock).call_sync(Script(ConnectionError).sync)
    assert clock.slept == [1.0]


def test_an_attempt_that_would_start_at_the_deadline_is_not_waited_for():
    clock = ManualClock()
    with deadline(1.0, clock=clock), pytest.raises(ConnectionError):
        upstream(clock).call_sync(Script(ConnectionError).sync)
    assert clock.slept == []


def test_decorrelated_delays_grow_from_the_one_before():
    class Highest(Random):
        def uniform(self, a, b):
            return b

    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(jitter="decorrelated", max_delay=20.0), clock=clock, random=Highest())
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    assert clock.slept == [3.0, 9.0, 20.0]


# Rejections


def calling(kind, **options):
    """How to call a script through a retry: as a plain function, or as a coroutine function."""

    def call(work):
        if kind == "sync":
            return upstream(ManualClock(), **options).call_sync(work.sync)
        return run_virtual(lambda loop: upstream(loop, **options).call(work))

    return call


@pytest.mark.parametrize(
    ("rejection", "calls"),
    [
        (RateLimited("inner", "rate_limit", 2.0), 2),
        (RateLimited("inner", "rate_limit", 0.0), 2),
        (RateLimited("inner", "rate_limit", 10.0), 2),
        (RateLimited("inner", "rate_limit", 10.5), 1),
        (RateLimited("inner", "rate_limit", None), 1),
        (CircuitOpen("inner", "circuit_breaker", 60.0), 1),
        (Rejected("inner", "some"), 1),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_rejection_is_waited_out_only_if_it_says_for_how_long_and_that_is_short(rejection, calls, kind):
    work = Script(rejection, "answer")
    call = calling(kind, retry_on=Exception)
    if calls == 1:
        with pytest.raises(Rejected) as raised:
            call(work)
        assert raised.value is rejection
    else:
        assert call(work) == "answer"
    assert len(work.calls) == calls


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("wait", [None, 60.0])
def test_a_rejection_that_ends_a_call_in_the_middle_comes_out_with_the_attempts_before_it(kind, wait):
    rejection = CircuitOpen("inner", "circuit_breaker", wait)
    with pytest.raises(CircuitOpen) as raised:
        calling(kind)(Script(ConnectionError, rejection, "never"))
    assert raised.value is rejection
    assert [type(each.error) for each in attempts_of(rejection)] == [ConnectionError, CircuitOpen]


def test_a_rejection_costs_no_budget():
    clock = ManualClock()
    pipeline = upstream(clock, budget=RetryBudget(ratio=0.0, per_second=0.0))
    assert pipeline.call_sync(Script(RateLimited("inner", "rate_limit", 1.0), "answer").sync) == "answer"
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)


def test_a_breaker_that_opens_between_attempts_ends_the_call():
    async def main(loop):
        pipeline = upstream(loop, CircuitBreaker(failure_threshold=2))
        work = Script(ConnectionError)
        with pytest.raises(CircuitOpen) as raised:
            await pipeline.call(work)
        assert len(work.calls) == 2
        assert [type(each.error) for each in attempts_of(raised.value)] == [ConnectionError, ConnectionError, CircuitOpen]

    run_virtual(main)


# Retries within retries


def nested(clock, **options):
    inner = Pipeline("inner", Retry(**NO_JITTER), clock=clock)
    outer = Pipeline("outer", Retry(max_retries=2, **{**NO_JITTER, **options}), clock=clock)
    return inner, outer


class UnavailableError(Exception):
    """What a client makes of errors of the network."""


@pytest.mark.parametrize("way", ["as it is", "from", "in a handler", "from None", "from another"])
def test_4_times_3_are_4_also_when_the_error_is_translated(way):
    async def main(loop):
        inner, outer = nested(loop, retry_on=(ConnectionError, UnavailableError))
        work = Script(ConnectionError)

        async def client():
            try:
                return await inner.call(work)
            except ConnectionError as error:
                match way:
                    case "as it is":
                        raise
                    case "from":
                        raise UnavailableError from error
                    case "in a handler":
                        raise UnavailableError  # noqa: B904
                    case "from None":
                        raise UnavailableError from None
                    case _:
                        raise UnavailableError from KeyError()

        with pytest.raises((ConnectionError, UnavailableError)):
            await outer.call(client)
        assert len(work.calls) == 4

    run_virtual(main)


@pytest.mark.parametrize("one_instance", [False, True])
def test_4_times_3_are_4_also_when_one_instance_is_raised_each_time(one_instance):
    clock = ManualClock()
    inner, outer = nested(clock)
    work = Script(ConnectionError() if one_instance else ConnectionError)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            outer.call_sync(inner.call_sync, work.sync)
    assert len(work.calls) == 12


def test_4_times_3_are_4_also_through_tasks_and_their_group():
    async def main(loop):
        inner, outer = nested(loop, retry_on=Exception)
        work = Script(ConnectionError)

        async def client():
            async with asyncio.TaskGroup() as group:
                group.create_task(inner.call(work))

        with pytest.raises(ExceptionGroup):
            await outer.call(client)
        assert len(work.calls) == 4

    run_virtual(main)


def test_4_times_3_are_4_also_when_the_inner_one_ends_with_an_error_that_it_would_not_try_again():
    clock = ManualClock()
    inner, outer = nested(clock, retry_on=Exception)
    work = Script(*[ConnectionError, ConnectionError, LookupError] * 3)
    with pytest.raises(LookupError):
        outer.call_sync(inner.call_sync, work.sync)
    assert len(work.calls) == 3


def test_a_pipeline_that_calls_itself_does_not_multiply():
    async def main(loop):
        pipeline = upstream(loop)
        work = Script(ConnectionError)

        @pipeline
        async def walk(depth):
            if depth == 0:
                return await work()
            return await asyncio.gather(walk(depth - 1))

        with pytest.raises(ConnectionError):
            await walk(3)
        assert len(work.calls) == 4

    run_virtual(main)


def test_what_an_inner_retry_did_not_try_the_outer_one_may():
    clock = ManualClock()
    inner, outer = nested(clock, retry_on=Exception)
    work = Script(LookupError)
    with pytest.raises(LookupError):
        outer.call_sync(inner.call_sync, work.sync)
    assert len(work.calls) == 3


def test_callers_at_the_same_time_do_not_take_one_instance_for_given_up_by_each_other():
    async def main(loop):
        pipeline = upstream(loop)
        work = Script(ConnectionError("one for all"))

        async def later(seconds):
            await asyncio.sleep(seconds)
            await pipeline.call(work)

        await asyncio.gather(*(later(number / 10) for number in range(50)), return_exceptions=True)
        assert len(work.calls) == 50 * 4

    run_virtual(main)


def test_an_error_given_up_long_ago_is_tried_again_when_it_comes_back():
    clock = ManualClock()
    outage = ConnectionError()
    for _ in range(3):
        work = Script(outage)
        with pytest.raises(ConnectionError):
            upstream(clock).call_sync(work.sync)
        assert len(work.calls) == 4


def test_a_call_made_while_a_given_up_error_is_handled_has_its_own_retries():
    clock = ManualClock()
    pipeline = upstream(clock)
    second = Script(ConnectionError, "answer")
    try:
        pipeline.call_sync(Script(ConnectionError).sync)
    except ConnectionError:
        assert pipeline.call_sync(second.sync) == "answer"


# Cancellation


def test_a_cancelled_pause_is_no_retry_and_costs_no_budget():
    async def main(loop):
        pipeline = upstream(loop, budget=RetryBudget(ratio=0.0, per_second=0.0, burst=10.0))
        pipeline["retry"].update(budget=RetryBudget(ratio=1.0, per_second=0.0))
        work = Script(ConnectionError)
        for _ in range(5):
            task = asyncio.ensure_future(pipeline.call(work))
            await asyncio.sleep(0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        snapshot = pipeline.snapshot()["retry"]
        assert len(work.calls) == 5
        assert snapshot.retries == 0
        assert snapshot.budget == 5
        assert sum(snapshot.gave_up.values()) == 0

    run_virtual(main)


def test_an_interrupted_pause_of_a_plain_function_costs_no_budget():
    class Interrupted(ManualClock):
        def wait(self, event, seconds):
            raise KeyboardInterrupt

    pipeline = upstream(Interrupted(), budget=RetryBudget(ratio=0.0, per_second=1.0))
    with pytest.raises(KeyboardInterrupt):
        pipeline.call_sync(Script(ConnectionError).sync)
    assert pipeline.snapshot()["retry"].budget == 10
    assert pipeline.snapshot()["retry"].retries == 0


def test_a_pause_that_is_cancelled_without_a_budget_ends_the_call():
    async def main(loop):
        task = asyncio.ensure_future(upstream(loop).call(Script(ConnectionError)))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main)


def test_a_cancelled_attempt_is_not_tried_again():
    async def main(loop):
        pipeline = upstream(loop, retry_on=BaseException)
        work = Script(hang)
        task = asyncio.ensure_future(pipeline.call(work))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(work.calls) == 1

    run_virtual(main)


def test_an_attempt_that_was_cut_is_tried_again():
    async def main(loop):
        assert await upstream(loop, Timeout(1.0)).call(Script(hang, after(0.5, "answer"))) == "answer"

    run_virtual(main)


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
