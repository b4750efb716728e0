"""Waiting for somebody else's answer."""

import asyncio

import pytest

from sengol_api.resilience.answered import done_within
from sengol_api.resilience.testing import run_virtual


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_failure_that_nobody_waits_for_any_more_is_not_told_to_the_event_loop(cancelled):
    async def fails():
        await asyncio.sleep(1.0)
        raise ConnectionError

    async def main(loop):
        told = []
        loop.set_exception_handler(lambda _, context: told.append(context["message"]))
        task = asyncio.ensure_future(fails())
        waiting = asyncio.ensure_future(done_within(0.5, task))
        await asyncio.sleep(0.2)
        if cancelled:
            waiting.cancel()
        await asyncio.sleep(1.0)
        assert task.done()
        assert waiting.cancelled() or not waiting.result()
        del task, waiting
        await asyncio.sleep(0)
        assert told == []

    run_virtual(main)
