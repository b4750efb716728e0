"""A retry whose pause or attempt is cancelled or cut."""

import asyncio

import pytest

from sengol_api.resilience import (
    Timeout,
)
from sengol_api.resilience.budget import RetryBudget
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.retries import upstream


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
