"""Tasks of an event loop, and turns of it."""

import asyncio


async def started(work):
    """A task that has run to where it first waits."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


async def settle():
    """Let all that is ready run to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def forever():
    """Wait for what never comes."""
    await asyncio.get_running_loop().create_future()
