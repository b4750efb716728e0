"""What millions of calls leave behind. Run as a process of its own: the memory of one that did other things says nothing."""

import asyncio
import contextlib
import functools
import gc
import json
import os
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sengol_api.resilience import Bulkhead, Cache, CircuitBreaker, CircuitOpen, Pipeline, Retry, Timeout

WARM_UP = 50_000


def resident() -> int:
    """Resident memory, bytes; 0 where the system does not tell."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") if pages.exists() else 0


def kinds() -> dict[str, Callable[[], Awaitable[Any]]]:
    """Calls that answer at once, that wait, that an open breaker refuses, and that a cache answers."""

    def whole() -> Pipeline:
        return Pipeline("bench", Retry(), CircuitBreaker(), Bulkhead(), Timeout(30.0))

    async def at_once() -> None:
        return None

    async def waits() -> None:
        await asyncio.sleep(0)

    refusing = whole()
    refusing["circuit_breaker"].open_for(600.0)

    async def refused() -> None:
        with contextlib.suppress(CircuitOpen):
            await refusing.call(at_once)

    return {
        "answered at once": functools.partial(whole().call, at_once),
        "waited once": functools.partial(whole().call, waits),
        "refused by an open breaker": refused,
        "answered by a cache": functools.partial(Pipeline("bench", Cache()).call, at_once),
    }


async def _make(call: Callable[[], Awaitable[Any]], calls: int) -> None:
    for _ in range(calls):
        await call()


async def measure(calls: int) -> dict[str, dict[str, int]]:
    """Growth of resident memory over ``calls`` calls, and of what Python holds over a tenth of them, bytes."""
    figures = {}
    for name, call in kinds().items():
        await _make(call, WARM_UP)
        gc.collect()
        before = resident()
        await _make(call, calls)
        gc.collect()
        grown = resident() - before
        tracemalloc.start()
        await _make(call, min(WARM_UP, calls // 10))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        await _make(call, calls // 10)
        gc.collect()
        figures[name] = {"resident": grown, "held": tracemalloc.get_traced_memory()[0] - held}
        tracemalloc.stop()
    return figures


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1])))))
