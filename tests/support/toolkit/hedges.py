"""Hedges in tests."""

import asyncio

from sengol_api.resilience import Pipeline
from sengol_api.resilience.hedge import Hedge
from sengol_api.resilience.testing import Script


def pipeline(clock, *inside, **options):
    """A hedge after half a second that any call may have."""
    return Pipeline("upstream", Hedge(**{"idempotent": True, "delay": 0.5, "budget": 1.0, **options}), *inside, clock=clock)


def of(upstream):
    return upstream.snapshot()["hedge"]


async def timed(loop, work):
    start = loop.now()
    return await work, round(loop.now() - start, 3)


class Stubborn:
    """Work that takes a while to clean up after a cancellation."""

    def __init__(self, *steps):
        self.script = Script(*steps)
        self.cleaned = 0

    async def __call__(self):
        try:
            return await self.script()
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)
            self.cleaned += 1
            raise
