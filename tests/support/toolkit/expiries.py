"""Work that an expiry cuts."""

import asyncio

import pytest

from sengol_api.resilience.expiry import Expiry


async def cut_after(limit):
    """Virtual seconds after which an expiry cuts a task that waits for ever."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    expiry = Expiry(limit)
    with pytest.raises(asyncio.CancelledError):
        await loop.create_future()
    assert expiry.claim()
    expiry.disarm()
    assert asyncio.current_task().cancelling() == 0
    return loop.time() - started
