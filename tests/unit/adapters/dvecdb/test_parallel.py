"""Several pieces of work at once."""

import asyncio
import gc
import weakref

import pytest

from sengol_api.adapters.dvecdb.parallel import in_parallel
from sengol_api.resilience.testing import run_virtual


class BrokenError(Exception):
    """Of a piece of work."""


async def broken():
    await asyncio.sleep(1)
    raise BrokenError


async def endless():
    await asyncio.Event().wait()


def test_the_first_that_raises_ends_the_others():
    async def main(loop):
        with pytest.raises(BrokenError):
            await in_parallel([endless, broken, endless], 3)
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main)


def test_an_error_goes_with_its_last_reference_and_does_not_wait_for_the_collector():
    async def main(loop):
        try:
            await in_parallel([endless, broken, endless], 3)
        except BrokenError as error:
            return weakref.ref(error)

    gc.collect()
    gc.disable()
    try:
        assert run_virtual(main)() is None
    finally:
        gc.enable()
