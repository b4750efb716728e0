"""Admissions in tests."""

import asyncio

from sengol_api.resilience import Pipeline, Priority
from sengol_api.resilience.admission.policy import Admission
from sengol_api.resilience.priority import priority

BATCH, INTERACTIVE, CRITICAL = Priority


async def started(work, level=INTERACTIVE):
    with priority(level, may_raise=True):
        task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


def admitting(clock, **options):
    return Pipeline("api", Admission(**{"max_concurrent": 1, "max_queue": 3, **options}), clock=clock)


def state(pipeline):
    return pipeline.snapshot()["admission"]


async def end(*tasks):
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


def in_turn(pipeline, order, seconds=0.01):
    """A call that notes its name when it gets its turn."""

    async def work(name):
        order.append(name)
        await asyncio.sleep(seconds)

    return lambda name: pipeline.call(work, name)


async def overloaded(pipeline, call, *, every, look=lambda: None):
    """Make a call every so many seconds until the line is a standing one; their tasks. ``look`` is called before each."""
    tasks = []
    while not state(pipeline).overloaded:
        look()
        tasks.append(await started(call()))
        await asyncio.sleep(every)
    return tasks
