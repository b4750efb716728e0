"""A model of a service under load: workers, a line before them, and callers that come whether it keeps up or not."""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from sengol_api.resilience import Pipeline, Rejected, TimedOut
from sengol_api.resilience.testing import run_virtual


class Service:
    """Workers that do one call at a time each, first come, first served.

    Like most, it does not see that a caller has gone: it works for callers that gave up long ago.

    Args:
        workers: how many.
        seconds: time of one call; may be changed while it runs.
        draw: factor of each single time.
    """

    def __init__(self, workers: int, seconds: float, draw: Callable[[], float] = lambda: 1.0) -> None:
        self.seconds = seconds
        self.draw = draw
        self._free_at = [0.0] * workers

    async def __call__(self) -> float:
        """Do a call; the time that a worker was busy with it."""
        loop = asyncio.get_running_loop()
        took = self.seconds * self.draw()
        end = max(loop.time(), heapq.heappop(self._free_at)) + took
        heapq.heappush(self._free_at, end)
        await asyncio.sleep(end - loop.time())
        return took


@dataclass
class Result:
    """What came of the second half of a run.

    Attributes:
        goodput: work that led to an answer in time, as a share of what the workers can do.
        latencies: seconds of these, in order of size.
        limits: the adaptive limit, at each second.
        lost: calls of the whole run that were refused or cut.
    """

    goodput: float = 0.0
    latencies: list[float] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    lost: int = 0

    def quantile(self, share: float) -> float:
        """A quantile of the latencies."""
        return self.latencies[int(share * (len(self.latencies) - 1))]


def offer(
    load: float,
    *policies: object,
    workers: int = 10,
    service_time: float = 0.1,
    seconds: float = 30.0,
    draw: Callable[[], float] = lambda: 1.0,
    then: Callable[[float, Service], None] = lambda now, service: None,
    seed: int = 1,
) -> Result:
    """Offer ``load`` times what the workers can do, at random moments, and see what comes of it."""
    chance, result = Random(seed), Result()

    async def main(loop):
        service, tasks = Service(workers, service_time, draw), set()
        pipeline = Pipeline("service", *policies, clock=loop)
        adaptive = next((pipeline[name] for name in pipeline if name in ("adaptive_limit", "admission")), None)

        async def one():
            began = loop.time()
            try:
                work = await pipeline.call(service)
            except (Rejected, TimedOut):
                result.lost += 1
                return
            if start + seconds / 2 <= loop.time() < start + seconds:
                result.latencies.append(loop.time() - began)
                result.goodput += work / (workers * seconds / 2)

        start = due = loop.time()
        while due < start + seconds:
            await asyncio.sleep(due - loop.time())
            then(due - start, service)
            if adaptive is not None and due - start >= len(result.limits):
                result.limits.append(adaptive.snapshot().limit)
            task = asyncio.ensure_future(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += chance.expovariate(load * workers / service_time)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main)
    result.latencies.sort()
    return result
