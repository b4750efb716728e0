"""Adaptive timeouts in tests."""

import asyncio

from sengol_api.resilience import Pipeline, TimedOut
from sengol_api.resilience.adaptive_timeout import AdaptiveTimeout


def pipeline(clock, **options):
    return Pipeline("upstream", AdaptiveTimeout(**options), clock=clock)


def limit(upstream):
    return upstream.snapshot()["adaptive_timeout"].limit


async def calls(upstream, seconds, times, pause=0.0):
    """So many calls of a service that takes so long; how many were cut."""
    cut = 0
    for _ in range(times):
        try:
            await upstream.call(asyncio.sleep, seconds)
        except TimedOut:
            cut += 1
        await asyncio.sleep(pause)
    return cut
