"""Adaptive limits in tests."""

import asyncio

from sengol_api.resilience import Pipeline
from sengol_api.resilience.adaptive.policy import AdaptiveLimit
from sengol_api.resilience.testing import Script


def limited(clock, **options):
    """One that looks after each five calls, and has no reserve for anybody."""
    given = {"algorithm": "aimd", "initial": 4, "window": 0.001, "min_samples": 5, "batch_share": 1.0, "interactive_share": 1.0}
    return Pipeline("upstream", AdaptiveLimit(**{**given, **options}), clock=clock)


def state(pipeline):
    return pipeline.snapshot()["adaptive_limit"]


async def use(pipeline, step, times=5, at_once=4):
    """Calls that fill the limit."""
    for _ in range(0, times, at_once):
        await asyncio.gather(*(pipeline.call(Script(step)) for _ in range(at_once)), return_exceptions=True)
