"""Retries within retries do not multiply."""

import asyncio

import pytest

from sengol_api.resilience import (
    Pipeline,
    Retry,
)
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.toolkit.retries import NO_JITTER, upstream


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
