"""A day of 200 callers: one hour of total outage, one hour of brown-out, and what reaches the service in trouble.

Virtual time and seeded chance: the same figures in each run. Every caller thinks, calls, and thinks again.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from tables import Table

from sengol_api.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitChanged,
    CircuitOpen,
    Pipeline,
    PolicyOptions,
    Retry,
    RetryBudget,
    Timeout,
)
from sengol_api.resilience.testing import VirtualLoop, run_virtual

HOUR = 3600.0
# Quantiles of a service's latency: the long tail that services have. A table and no formula, so that the figures are the same on
# every machine: the last digit of a logarithm is not.
LATENCIES_MS = (50, 60, 70, 75, 80, 85, 90, 95, 100, 100, 105, 110, 120, 125, 135, 145, 160, 180, 220, 300)


@dataclass(frozen=True)
class Day:
    """What happens when, in seconds.

    Attributes:
        callers: how many.
        think: mean pause of a caller between two calls, which takes from half of it to half as much again.
        length: of the whole.
        outage: from when to when every call is refused.
        brown_out: from when to when calls fail at a rate, and the others take ten times as long.
        seed: of chance.
    """

    callers: int = 200
    think: float = 60.0
    length: float = 24 * HOUR
    outage: tuple[float, float] = (3 * HOUR, 4 * HOUR)
    brown_out: tuple[float, float] = (14 * HOUR, 15 * HOUR)
    seed: int = 1


@dataclass
class Record:
    """What was seen: times of day in seconds, counts by minute of the day.

    Attributes:
        offered: calls that the callers made.
        upstream: calls that reached the service.
        answered: calls of the callers that got an answer.
        refused: calls of the callers that the open breaker refused.
        changes: of the circuit breaker: when, and to which state.
        offered_at: the moment of each call that a caller made in the outage.
        upstream_at: the moment of each call that reached the service in the outage.
    """

    offered: Counter[int] = field(default_factory=Counter)
    upstream: Counter[int] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    changes: list[tuple[float, str]] = field(default_factory=list)
    offered_at: list[float] = field(default_factory=list)
    upstream_at: list[float] = field(default_factory=list)


def variants() -> dict[str, tuple[PolicyOptions, ...]]:
    """The pipelines that are compared, by name.

    The breaker counts failures in a row: five within two minutes, its default, are what a service with this much traffic has in
    any brown-out, which should be answered by retries, not by an open breaker. One call stands for twenty of callers that pause
    for three seconds, so the floor and the store of the retry budget are a twentieth of their defaults.
    """
    retry = Retry(budget=RetryBudget(per_second=0.05, burst=5.0))
    breaker = CircuitBreaker(trip_on="consecutive", failure_threshold=10)
    limits = (Bulkhead(max_concurrent=400, max_queue=400), Timeout(10.0))
    return {
        "whole pipeline": (retry, breaker, *limits),
        "without the retry budget": (Retry(budget=None), breaker, *limits),
        "without the circuit breaker": (retry, *limits),
        "retries alone": (Retry(budget=None), *limits),
    }


class Service:
    """The service that is called: it knows the time of day, and how well it is."""

    def __init__(self, day: Day, loop: VirtualLoop, record: Record, random: Random) -> None:
        self._day = day
        self._loop = loop
        self._start = loop.time()
        self._record = record
        self._random = random

    def now(self) -> float:
        """Seconds since midnight."""
        return self._loop.time() - self._start

    async def answer(self) -> None:
        """One call."""
        now = self.now()
        outage, brown_out = self._day.outage, self._day.brown_out
        self._record.upstream[int(now // 60)] += 1
        if outage[0] <= now < outage[1]:
            self._record.upstream_at.append(now)
            await asyncio.sleep(0.02)
            raise ConnectionRefusedError("out of service")
        browned = brown_out[0] <= now < brown_out[1]
        await asyncio.sleep(self._random.choice(LATENCIES_MS) / (100.0 if browned else 1000.0))
        if browned and self._random.random() < 0.3:
            raise ConnectionResetError("browned out")


def run(policies: tuple[PolicyOptions, ...], day: Day) -> Record:
    """One day with a pipeline of these policies."""

    async def main(loop: VirtualLoop) -> Record:
        random = Random(day.seed)
        record = Record()
        service = Service(day, loop, record, random)
        pipeline = Pipeline("service", *policies, clock=loop, random=random)
        pipeline.subscribe(lambda change: record.changes.append((service.now(), str(change.state))), CircuitChanged)

        async def caller() -> None:
            await asyncio.sleep(random.uniform(0.0, day.think))
            while (now := service.now()) < day.length:
                minute = int(now // 60)
                record.offered[minute] += 1
                if day.outage[0] <= now < day.outage[1]:
                    record.offered_at.append(now)
                try:
                    await pipeline.call(service.answer)
                except CircuitOpen:
                    record.refused[minute] += 1
                except OSError:
                    pass
                else:
                    record.answered[minute] += 1
                await asyncio.sleep(random.uniform(0.5, 1.5) * day.think)

        await asyncio.gather(*(caller() for _ in range(day.callers)))
        return record

    return run_virtual(main)


@dataclass(frozen=True)
class Opening:
    """A total outage as the service saw it.

    Attributes:
        offered: calls that the callers made from its beginning until the breaker opened.
        upstream: calls that reached the service in that time.
        probes: calls that reached it later in the outage.
        half_openings: times that the breaker let probes through until the outage ended.
        closed_after: seconds from its end until the breaker was closed.
    """

    offered: int
    upstream: int
    probes: int
    half_openings: int
    closed_after: float


def opening(record: Record, day: Day) -> Opening:
    """What the breaker made of the outage."""
    begin, end = day.outage
    opened = next(when for when, state in record.changes if state == "OPEN" and when >= begin)
    closed = next(when for when, state in record.changes if state == "CLOSED" and when >= end)
    return Opening(
        offered=sum(when <= opened for when in record.offered_at),
        upstream=sum(when <= opened for when in record.upstream_at),
        probes=sum(when > opened for when in record.upstream_at),
        half_openings=sum(state == "HALF_OPEN" and opened < when < end for when, state in record.changes),
        closed_after=closed - end,
    )


def breakers() -> dict[str, CircuitBreaker]:
    """Circuit breakers that a long brown-out is tried with, by what opens them."""
    return {
        "five failures within 120 s": CircuitBreaker(),
        "ten failures in a row": CircuitBreaker(trip_on="consecutive", failure_threshold=10),
        "half of the calls of a minute": CircuitBreaker(trip_on="rate", window=60.0),
    }


def browned_out(breaker: CircuitBreaker, seed: int) -> float:
    """Share of 20 calls a second that are answered in ten minutes of nothing but brown-out."""
    day = Day(think=10.0, length=600.0, outage=(math.inf, math.inf), brown_out=(0.0, math.inf), seed=seed)
    record = run((Retry(), breaker, Bulkhead(max_concurrent=400, max_queue=400), Timeout(10.0)), day)
    return sum(record.answered.values()) / sum(record.offered.values())


def busy(seed: int) -> Day:
    """Callers that pause for 3 s only, and a total outage that ends right after a probe failed: the worst moment to end."""
    return Day(think=3.0, length=180.0, outage=(20.0, 82.0), brown_out=(math.inf, math.inf), seed=seed)


def table(records: Mapping[str, Record], day: Day) -> Table:
    """What was offered, and for each record what reached the service and the per cent of calls answered, by minute of the day."""
    minutes = range(int(day.length // 60))
    first = next(iter(records.values()))
    columns: Table = {"minute": [float(minute) for minute in minutes], "offered": [first.offered[minute] for minute in minutes]}
    for name, record in records.items():
        columns[f"upstream: {name}"] = [record.upstream[minute] for minute in minutes]
    for name, record in records.items():
        columns[f"answered: {name}"] = [100.0 * record.answered[minute] / max(1, record.offered[minute]) for minute in minutes]
    return columns
