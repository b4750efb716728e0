"""Rate limits in tests."""

import asyncio

from sengol_api.resilience.testing import Script


async def passed(pipelines, calls):
    done = await asyncio.gather(
        *(pipeline.call(Script("well")) for pipeline in pipelines for _ in range(calls)), return_exceptions=True
    )
    return done.count("well")
