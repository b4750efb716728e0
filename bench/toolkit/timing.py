"""Paired timing: contenders take turns in short batches, and what counts is the median of the ratios within a round.

The clock counts the time that the thread computes: nothing here waits for anything, and so whatever else the machine does is left
out as far as it can be.
"""

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Call = Callable[[], Awaitable[Any]]
BATCH_NS = 2_000_000  # long against the clock's own cost of half a microsecond, and short: a disturbed batch is one of many


@dataclass(frozen=True)
class Sample:
    """Nanoseconds of one call, one figure from each round."""

    name: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the rounds, ns."""
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        """Of the rounds, ns: what is left when nothing else disturbs the machine."""
        return min(self.rounds)


@dataclass(frozen=True)
class Spread:
    """A median with the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: list[float]) -> Spread:
    """Of some values."""
    low, median, high = statistics.quantiles(values, n=4)
    return Spread(median, low, high)


def ratio(one: Sample, other: Sample) -> Spread:
    """``one`` over ``other``, round by round: what slows the machine down slows both."""
    return spread([mine / theirs for mine, theirs in zip(one.rounds, other.rounds, strict=True)])


def difference(one: Sample, other: Sample) -> Spread:
    """``one`` minus ``other``, round by round, ns."""
    return spread([mine - theirs for mine, theirs in zip(one.rounds, other.rounds, strict=True)])


async def _batch(call: Call, calls: int) -> float:
    started = time.thread_time_ns()
    for _ in range(calls):
        await call()
    return (time.thread_time_ns() - started) / calls


async def _calls_of_a_batch(call: Call) -> int:
    await _batch(call, 50)
    return max(20, int(BATCH_NS / await _batch(call, 200)))


async def compare(contenders: dict[str, Call], rounds: int) -> dict[str, Sample]:
    """Time coroutine functions against each other.

    The figures contain the loop around the calls and the work itself, for all alike. The collector of garbage runs as in a
    service: those who leave cycles behind pay for them.
    """
    calls = {name: await _calls_of_a_batch(call) for name, call in contenders.items()}
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    chance = random.Random(1)
    gc.collect()
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            figures[name].append(await _batch(contenders[name], calls[name]))
        await asyncio.sleep(0)
    return {name: Sample(name, tuple(values)) for name, values in figures.items()}


def compare_plain(contenders: dict[str, Callable[[], Any]], rounds: int) -> dict[str, Sample]:
    """The same for plain functions."""

    def batch(call: Callable[[], Any], calls: int) -> float:
        started = time.thread_time_ns()
        for _ in range(calls):
            call()
        return (time.thread_time_ns() - started) / calls

    calls = {name: max(20, int(BATCH_NS / batch(call, 200))) for name, call in contenders.items()}
    figures: dict[str, list[float]] = {name: [] for name in contenders}
    order = list(contenders)
    chance = random.Random(1)
    gc.collect()
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            figures[name].append(batch(contenders[name], calls[name]))
    return {name: Sample(name, tuple(values)) for name, values in figures.items()}
