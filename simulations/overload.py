"""A ramp to ten times of what a service can do, against a service that works on for callers who have long gone.

That is how services collapse: the line grows until every answer comes too late, and all work is done for nobody. Virtual time and
seeded chance: the same figures in each run.
"""

import asyncio
import heapq
import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median

from tables import Table

from sengol_api.resilience import AdaptiveLimit, Aimd, Gradient2, Pipeline, PolicyOptions, Rejected, Timeout, Vegas
from sengol_api.resilience.testing import VirtualLoop, run_virtual


@dataclass(frozen=True)
class Ramp:
    """What happens when, in seconds.

    Attributes:
        workers: calls that the service works on at once.
        work: mean time of one call, from a half to one and a half of it.
        backlog: calls that may be in line at the service; one more is refused by it.
        patience: of the callers.
        stop: when to stop looking, at the latest.
        rates: time and calls offered, as a multiple of what the service can do; straight lines between them.
        seed: of chance.
    """

    workers: int = 10
    work: float = 0.1
    backlog: int = 1000
    patience: float = 1.0
    stop: float = math.inf
    rates: Sequence[tuple[float, float]] = ((0, 0.5), (20, 0.5), (100, 10.0), (160, 10.0), (170, 0.5), (220, 0.5))
    seed: int = 1

    @property
    def capacity(self) -> float:
        """Calls a second that the service can do."""
        return self.workers / self.work

    @property
    def length(self) -> float:
        """Of the whole, seconds."""
        return min(self.stop, self.rates[-1][0])

    def rate(self, now: float) -> float:
        """Calls a second that are offered at this time."""
        for (begin, low), (end, high) in zip(self.rates, self.rates[1:], strict=False):
            if now < end:
                return self.capacity * (low + (high - low) * (now - begin) / (end - begin))
        return 0.0


@dataclass
class Record:
    """What was seen, by second.

    Attributes:
        offered: calls of the callers.
        good: calls that were answered before their caller went away.
        latency: median seconds at the service of the calls that it finished, whether anybody waited for them or not.
        limit: calls at once that were allowed.
    """

    offered: Counter[int] = field(default_factory=Counter)
    good: Counter[int] = field(default_factory=Counter)
    latency: dict[int, float] = field(default_factory=dict)
    limit: dict[int, int] = field(default_factory=dict)


class Service:
    """Workers, and a line before them, first come, first served. It does not notice that a caller has gone.

    When a call will be finished is settled as it comes, so a call is one timer and the line needs no tasks.
    """

    def __init__(self, ramp: Ramp, loop: VirtualLoop, random: Random) -> None:
        self._ramp = ramp
        self._loop = loop
        self._random = random
        self._free_at = [0.0] * ramp.workers
        self._starts: deque[float] = deque()
        self.finished: defaultdict[int, list[float]] = defaultdict(list)
        self._begin = loop.time()

    def now(self) -> float:
        """Seconds since the start."""
        return self._loop.time() - self._begin

    async def answer(self) -> None:
        """One call."""
        now = self.now()
        while self._starts and self._starts[0] <= now:
            self._starts.popleft()
        if len(self._starts) >= self._ramp.backlog:
            raise ConnectionRefusedError("the backlog is full")
        start = max(now, self._free_at[0])
        end = start + self._ramp.work * self._random.uniform(0.5, 1.5)
        heapq.heapreplace(self._free_at, end)
        self._starts.append(start)
        self.finished[int(end)].append(end - now)
        await asyncio.sleep(end - now)


def variants() -> dict[str, AdaptiveLimit | None]:
    """What is compared, by name."""
    return {
        "no limit": None,
        "AIMD": AdaptiveLimit(algorithm=Aimd()),
        "Vegas": AdaptiveLimit(algorithm=Vegas()),
        "Gradient2": AdaptiveLimit(algorithm=Gradient2()),
    }


def run(limit: AdaptiveLimit | None, ramp: Ramp) -> Record:
    """One ramp with this limit before a timeout, or with the timeout alone."""

    async def main(loop: VirtualLoop) -> Record:
        random = Random(ramp.seed)
        record = Record()
        service = Service(ramp, loop, random)
        policies: list[PolicyOptions] = [] if limit is None else [limit]
        pipeline = Pipeline("service", *policies, Timeout(ramp.patience), clock=loop, random=random)

        async def caller() -> None:
            record.offered[int(service.now())] += 1
            try:
                await pipeline.call(service.answer)
            except (Rejected, OSError):
                return
            record.good[int(service.now())] += 1

        async def watch() -> None:
            while service.now() < ramp.length:
                if limit is not None:
                    record.limit[int(service.now())] = pipeline["adaptive_limit"].snapshot().limit
                await asyncio.sleep(1.0)

        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            while (now := service.now()) < ramp.length:
                group.create_task(caller())
                await asyncio.sleep(random.expovariate(ramp.rate(now)))
        record.latency = {second: median(times) for second, times in service.finished.items() if second < ramp.length}
        return record

    return run_virtual(main)


def plateau(ramp: Ramp) -> tuple[int, int]:
    """The seconds of the highest rate: from, to."""
    highest = max(rate for _, rate in ramp.rates)
    times = [second for second, rate in ramp.rates if rate == highest]
    return int(times[0]), int(times[-1])


def goodput(record: Record, begin: int, end: int) -> float:
    """Answers in time, per second, over some seconds."""
    return sum(record.good[second] for second in range(begin, end)) / (end - begin)


def table(records: Mapping[str, Record], ramp: Ramp) -> Table:
    """The offered rate, and for each record goodput, latency and limit, by second."""
    seconds = range(int(ramp.length))
    columns: Table = {
        "second": [float(second) for second in seconds],
        "rate": [ramp.rate(second) / ramp.capacity for second in seconds],
    }
    for name, record in records.items():
        columns[f"goodput: {name}"] = [record.good[second] for second in seconds]
        columns[f"latency: {name}"] = [record.latency.get(second) for second in seconds]
        if record.limit:
            columns[f"limit: {name}"] = [record.limit.get(second) for second in seconds]
    return columns
