"""Calls that fail or wait."""

import pytest

from sengol_api.resilience.testing import Script


async def fail(pipeline, times):
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError()))
