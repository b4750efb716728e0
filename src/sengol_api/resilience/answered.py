"""Waiting for somebody else's answer, without taking one's own lateness for his silence."""

import asyncio
from typing import Any


async def done_within(seconds: float, task: "asyncio.Future[Any]") -> bool:
    """Whether a task is done after so many seconds at most. It is not cancelled.

    An event loop that was busy sends a question late, and finds the answer and the end of the time at once. So it waits as long
    again as it was late itself, and no more than as long as it was given: else a busy process would take a store for lost that
    answers in a millisecond.
    """
    task.add_done_callback(_looked_at)
    now = asyncio.get_running_loop().time
    began = now()
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        late = now() - began - seconds
        await asyncio.wait({task}, timeout=max(0.0, min(late, seconds)))
    return task.done()


def _looked_at(task: "asyncio.Future[Any]") -> None:
    """Whoever was cancelled, or waited long enough, leaves the task to itself: that it fails is then nobody's news."""
    if not task.cancelled():
        task.exception()
