"""Bulkheads in tests."""

import asyncio

from sengol_api.resilience import (
    Bulkhead,
    Pipeline,
)


def bulkhead(clock, size=1, queue=100, seconds=None, *inside):
    return Pipeline("search", Bulkhead(max_concurrent=size, max_queue=queue, queue_timeout=seconds), *inside, clock=clock)


def state(pipeline):
    return pipeline.snapshot()["bulkhead"]


async def cancel(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
