"""A hedged call whose caller, loser or work is cancelled."""

import asyncio
import contextvars

import pytest

from sengol_api.resilience import TimedOut, deadline, remaining
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from support.toolkit.hedges import Stubborn, of, pipeline


def test_cancelling_the_caller_cancels_both_and_waits_for_both():
    async def main(loop):
        upstream, work = pipeline(loop), Stubborn(hang)
        task = asyncio.create_task(upstream.call(work))
        await asyncio.sleep(1.0)
        assert work.script.running == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (work.script.running, work.cleaned) == (0, 2)
        assert of(upstream).won == 0

    run_virtual(main)


def test_cancelling_the_caller_while_the_loser_cleans_up_is_heard_and_the_loser_still_waited_for():
    async def main(loop):
        upstream, work = pipeline(loop), Stubborn(after(0.6, "first"), hang)
        task = asyncio.create_task(upstream.call(work))
        await asyncio.sleep(0.7)
        task.cancel("by hand")
        with pytest.raises(asyncio.CancelledError) as error:
            await task
        assert work.cleaned == 1
        assert error.value.args == ("by hand",)

    run_virtual(main)


def test_a_cancellation_that_arrives_together_with_the_answer_of_the_second_is_heard():
    async def main(loop):
        upstream = pipeline(loop)
        task = asyncio.create_task(upstream.call(Stubborn(hang, after(0.1, "second"))))
        await asyncio.sleep(0.7)  # the second has won, the first is cleaning up
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert of(upstream).won == 0

    run_virtual(main)


def test_cancelling_the_caller_while_it_waits_for_the_second_after_an_error_is_heard():
    async def main(loop):
        upstream, work = pipeline(loop), Script(after(0.6, ConnectionError()), hang)
        task = asyncio.create_task(upstream.call(work))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.running == 0

    run_virtual(main)


@pytest.mark.parametrize("outcome", ["its own answer", OSError("its own error")])
def test_a_loser_that_does_not_end_as_cancelled_changes_nothing(outcome):
    async def main(loop):
        upstream = pipeline(loop)
        number = iter(range(2))

        async def work():
            if next(number):
                return "second"
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                if isinstance(outcome, Exception):
                    raise outcome from None
            return outcome

        assert await upstream.call(work) == "second"
        assert asyncio.current_task().cancelling() == 0
        await asyncio.sleep(0.1)

    run_virtual(main)


def test_work_that_raises_a_cancellation_of_its_own_ends_the_call_as_cancelled():
    async def main(loop):
        upstream = pipeline(loop)
        work = Script(after(1.0, asyncio.CancelledError()), hang)
        with pytest.raises(asyncio.CancelledError):
            await upstream.call(work)
        assert work.running == 0
        assert await upstream.call(Script(after(2.0, "first"), asyncio.CancelledError())) == "first"

    run_virtual(main)


def test_both_calls_see_the_deadline_and_the_context_of_the_caller():
    async def main(loop):
        upstream, who = pipeline(loop), contextvars.ContextVar("who")
        seen = []

        async def work():
            seen.append((who.get(), remaining()))
            await asyncio.sleep(10.0)

        who.set("the caller")
        with pytest.raises(TimedOut), deadline(2.0, clock=loop):
            await upstream.call(work)
        assert seen == [("the caller", 2.0), ("the caller", 1.5)]

    run_virtual(main)
