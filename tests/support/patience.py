"""Waiting for what another process does in its own time."""

import asyncio
from collections.abc import Awaitable, Callable


async def eventually(check: Callable[[], Awaitable[bool]], *, patience: float = 20.0) -> None:
    """Ask again and again until it is so; fail when it never is."""
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.005)
