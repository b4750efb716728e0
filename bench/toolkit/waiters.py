"""How long a crowd in line at a bulkhead takes to be served, or to leave: it must grow with the crowd, not with its square."""

import asyncio
import functools
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

import hyx.bulkhead.api

from sengol_api.resilience import Bulkhead, Pipeline

CROWDS = (1_000, 2_000, 5_000, 10_000)
PLACES = 10
Guard = Callable[[int, Callable[[], Awaitable[Any]]], Callable[[], Awaitable[Any]]]


def _ours(crowd: int, work: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    return functools.partial(Pipeline("bench", Bulkhead(max_concurrent=PLACES, max_queue=crowd)).call, work)


def _semaphore(_: int, work: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    semaphore = asyncio.Semaphore(PLACES)

    async def guarded() -> Any:
        async with semaphore:
            return await work()

    return guarded


def _hyx(crowd: int, work: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Any]]:
    return hyx.bulkhead.api.bulkhead(PLACES, crowd + PLACES + 1)(work)


GUARDS: dict[str, Guard] = {"sengol": _ours, "asyncio.Semaphore": _semaphore, "hyx": _hyx}


async def _line(guard: Guard, crowd: int) -> tuple[asyncio.Event, list[asyncio.Future[Any]]]:
    """Some who hold all places until the event, and a crowd behind them."""
    gate = asyncio.Event()
    call = guard(crowd, gate.wait)
    tasks = [asyncio.ensure_future(call()) for _ in range(PLACES + crowd)]
    for _ in range(3):
        await asyncio.sleep(0)
    return gate, tasks


async def _drain(guard: Guard, crowd: int) -> float:
    gate, tasks = await _line(guard, crowd)
    started = time.thread_time()
    gate.set()
    await asyncio.gather(*tasks)
    return time.thread_time() - started


async def _leave(guard: Guard, crowd: int) -> float:
    gate, tasks = await _line(guard, crowd)
    started = time.thread_time()
    for task in reversed(tasks[PLACES:]):
        task.cancel()
    await asyncio.gather(*tasks[PLACES:], return_exceptions=True)
    took = time.thread_time() - started
    gate.set()
    await asyncio.gather(*tasks[:PLACES])
    return took


async def measure(repeats: int) -> dict[str, dict[str, dict[int, float]]]:
    """Seconds of computing until all are served, and until all have left the line, the last first: by name and size of the crowd.

    The fastest of some repeats: a crowd is too long a run for the median to be free of other work on the machine.
    """
    return {
        what: {
            name: {crowd: min([await each(guard, crowd) for _ in range(repeats)]) for crowd in CROWDS}
            for name, guard in GUARDS.items()
        }
        for what, each in (("served", _drain), ("cancelled", _leave))
    }


def exponent(times: dict[int, float]) -> float:
    """Of the power of the crowd's size with which the time grows, by least squares on logarithms: 1 is linear."""
    points = [(math.log(crowd), math.log(seconds)) for crowd, seconds in times.items()]
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
