"""A pipeline: policies around a call, composed where they are seen."""

import asyncio
import math
import random
import threading
import time

import pytest

from sengol_api.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpen,
    DeadlineExceeded,
    OptionsError,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    deadline,
)
from sengol_api.resilience.events import Event
from sengol_api.resilience.testing import ManualClock, Script, after, describe, hang, run_virtual


def full(clock, **retry):
    return Pipeline(
        "search",
        Retry(jitter="none", **retry),
        CircuitBreaker(),
        Bulkhead(max_concurrent=2),
        Timeout(1.0),
        clock=clock,
    )


# Building


@pytest.mark.parametrize("name", ["", None, 3, b"search", ["search"]])
def test_a_pipeline_has_a_name(name):
    with pytest.raises(OptionsError, match="is not allowed, it takes a text that is not empty"):
        Pipeline(name)


def test_a_pipeline_whose_name_was_forgotten_says_so_once():
    with pytest.raises(OptionsError) as refused:
        Pipeline(Timeout(1.0))
    assert str(refused.value) == "Pipeline: name=Timeout(seconds=1.0) is not allowed, it takes a text that is not empty"


@pytest.mark.parametrize("thing", [None, 3, "retry", int, object(), Pipeline("other")])
def test_only_policies_make_a_pipeline(thing):
    with pytest.raises(OptionsError, match=r"is (a pipeline and )?no policy"):
        Pipeline("search", Timeout(1.0), thing)


def test_time_and_chance_come_from_what_can_give_them():
    with pytest.raises(OptionsError) as refused:
        Pipeline("search", Timeout(1.0), clock=time, random=random)
    assert refused.value.problems == (
        f"clock={time!r} is not allowed, it takes an object with the methods of Clock",
        f"random={random!r} is not allowed, it takes an object with the methods of Random",
    )


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Retry(), Timeout(1.0))], ids=len)
def test_a_call_that_was_made_before_it_could_be_guarded_is_told_how_to_write_it(policies):
    async def query(vector): ...

    pipeline = Pipeline("search", *policies)
    made = query(1)
    with pytest.raises(TypeError, match=r"query at .* cannot be called: give the function and its arguments apart, as call\(query"):
        asyncio.run(pipeline.call(made))
    with pytest.raises(TypeError, match=r"\[1\] cannot be called: give the function and its arguments apart"):
        pipeline.call_sync([1])


def test_such_a_call_is_told_the_same_where_the_policies_are_turned_off():
    pipeline = Pipeline("search", Retry())
    pipeline.bypass(on=True)
    with pytest.raises(TypeError, match=r"\[1\] cannot be called: give the function and its arguments apart"):
        asyncio.run(pipeline.call([1]))
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        asyncio.run(pipeline.call(lambda vector: vector))


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),)], ids=len)
def test_arguments_that_do_not_fit_are_the_callers_own_error(policies):
    async def query(vector): ...

    pipeline = Pipeline("search", *policies)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        asyncio.run(pipeline.call(query))
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        pipeline.call_sync(lambda vector: vector)


def test_a_policy_whose_parentheses_were_forgotten_is_told_what_to_write():
    with pytest.raises(OptionsError, match=r"Retry is the class of a policy's options: write Retry\(\)"):
        Pipeline("search", Retry)


def test_it_shows_itself_as_it_was_written():
    assert repr(Pipeline("search", Timeout(1.0))) == "Pipeline('search', Timeout(seconds=1.0))"
    assert repr(Pipeline("search")) == "Pipeline('search')"


def test_its_policies_are_found_by_name_in_order():
    pipeline = full(ManualClock())
    assert list(pipeline) == ["retry", "circuit_breaker", "bulkhead", "timeout"]
    assert "bulkhead" in pipeline
    assert "cache" not in pipeline
    assert pipeline["timeout"].options == Timeout(1.0)
    assert list(pipeline.snapshot()) == list(pipeline)


def test_a_policy_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(KeyError, match="pipeline 'search' has no policy 'cache'; it has timeout"):
        Pipeline("search", Timeout(1.0))["cache"]
    with pytest.raises(KeyError, match="it has none"):
        Pipeline("search")["cache"]


def test_a_built_policy_can_be_shared_and_keeps_its_state():
    async def main(loop):
        search = Pipeline("search", CircuitBreaker(failure_threshold=1), clock=loop)
        upsert = Pipeline("upsert", Retry(max_retries=0), search["circuit_breaker"], Timeout(1.0), clock=loop)
        with pytest.raises(ConnectionError):
            await search.call(Script(ConnectionError()))
        with pytest.raises(CircuitOpen) as refused:
            await upsert.call(Script("never"))
        assert refused.value.name == "search"
        assert upsert["circuit_breaker"] is search["circuit_breaker"]

    run_virtual(main)


# Calls


def test_the_whole_of_it_makes_the_best_of_a_bad_day():
    async def main(loop):
        upstream = Script(ConnectionError(), hang, after(0.5, "well"))
        assert await full(loop).call(upstream, "vector", k=20) == "well"
        assert upstream.calls == [(("vector",), {"k": 20})] * 3
        assert loop.time() == pytest.approx(1000 + 1.0 + 1.0 + 2.0 + 0.5, rel=0.02)

    run_virtual(main)


def test_a_plain_function_goes_through_the_same_policies():
    clock = ManualClock()
    pipeline = full(clock)
    assert pipeline.call_sync(Script(ConnectionError(), TimeoutError(), "well").sync, "vector") == "well"
    assert clock.slept == [1.0, 2.0]
    assert pipeline.snapshot()["retry"].retries == 2
    assert pipeline.snapshot()["circuit_breaker"].failure_count == 2


def test_without_policies_it_is_a_call_that_keeps_to_the_deadline():
    async def main(loop):
        pipeline = Pipeline("search", clock=loop)
        assert await pipeline.call(Script(after(100.0, "well"))) == "well"
        assert pipeline.call_sync(Script("well").sync) == "well"
        with deadline(1.0, clock=loop), pytest.raises(TimedOut) as cut:
            await pipeline.call(Script(hang))
        assert str(cut.value) == "search: no answer within 1 s, the caller's deadline (deadline)"

    run_virtual(main)


@pytest.mark.parametrize("policies", [(), (Timeout(5.0),), (Retry(), Bulkhead()), (Timeout(5.0), Bulkhead())])
def test_nothing_starts_after_the_deadline_whatever_the_policies(policies):
    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        upstream = Script("never")
        with deadline(0, clock=loop):
            with pytest.raises(DeadlineExceeded):
                await pipeline.call(upstream)
            with pytest.raises(DeadlineExceeded):
                pipeline.call_sync(upstream.sync)
        assert upstream.calls == []
        with deadline(math.nextafter(0, 1), clock=loop):
            pass

    run_virtual(main)


@pytest.mark.parametrize("policies", [(), (Retry(),), (Timeout(5.0), Retry())])
def test_no_attempt_outlives_the_deadline_whatever_the_policies(policies):
    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        started = loop.time()

        async def in_a_task_of_its_own():  # so that no block cuts it
            await pipeline.call(Script(hang))

        with deadline(1.0, clock=loop):
            task = asyncio.create_task(in_a_task_of_its_own())
        with pytest.raises(TimedOut):
            await task
        assert loop.time() - started <= 1.02

    run_virtual(main)


def test_one_pipeline_serves_two_event_loops_one_after_the_other_and_plain_calls_between():
    pipeline = Pipeline("search", Retry(), CircuitBreaker(), Bulkhead(max_concurrent=1), Timeout(5.0))

    async def work(number):
        await asyncio.sleep(0)
        return number

    async def main():
        return await asyncio.gather(*(pipeline.call(work, number) for number in range(10)))

    for _ in range(2):
        assert asyncio.run(main()) == list(range(10))
        assert pipeline.call_sync(len, "four") == 4
    assert pipeline.snapshot()["retry"].calls == 22


def test_eight_threads_call_through_one_pipeline_and_every_call_is_counted():
    pipeline = Pipeline("search", Retry(), CircuitBreaker(), Bulkhead(max_concurrent=3), Timeout(5.0))
    barrier = threading.Barrier(8)
    results = []

    def caller():
        barrier.wait()
        results.extend([pipeline.call_sync(len, "four") for _ in range(200)])

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [4] * 1600
    assert pipeline.snapshot()["retry"].calls == 1600
    assert pipeline.snapshot()["circuit_breaker"].success_count == 1600
    assert pipeline.snapshot()["bulkhead"].in_flight == 0


def test_listeners_hear_of_every_policy_until_they_leave():
    async def main(loop):
        pipeline = Pipeline("search", Retry(initial_delay=0.0), Timeout(1.0), clock=loop)
        heard = []
        leave = pipeline.subscribe(heard.append)
        nothing = []
        pipeline.subscribe(nothing.append, type("Other", (Event,), {}))
        await pipeline.call(Script(hang, "well"))
        assert [event.policy for event in heard] == ["timeout", "retry"]
        leave()
        await pipeline.call(Script(hang, "well"))
        assert len(heard) == 2
        assert nothing == []

    run_virtual(main)


# Bypass


def test_bypassed_it_calls_straight_through_and_comes_back_with_its_state():
    async def main(loop):
        pipeline = Pipeline("search", CircuitBreaker(failure_threshold=1), clock=loop)
        query = pipeline(Script(ConnectionError(), "well"))
        with pytest.raises(ConnectionError):
            await query()
        assert not pipeline.bypassed
        pipeline.bypass(on=True)
        assert pipeline.bypassed
        assert await query() == "well"
        assert await asyncio.create_task(pipeline.call(Script("well"))) == "well"
        assert pipeline.call_sync(Script("well").sync) == "well"
        pipeline.bypass(on=False)
        assert not pipeline.bypassed
        with pytest.raises(CircuitOpen):
            await query()

    run_virtual(main)


def test_described_it_tells_what_differs_from_the_defaults():
    assert describe(Pipeline("search", Retry(max_retries=1), Timeout())) == (
        "search\n  retry(max_retries=1)\n    timeout()"
    )  # fmt: skip
