"""What requests, calls of pipelines and scrapes cost for being logged, counted and traced: ``make bench``. It prints figures only.

Each figure is the median of paired runs: with and without follow each other at once. It is processor time of the whole process,
that of the threads that write log lines and send spans included: what others on a shared machine take does not show in it.
"""

import argparse
import asyncio
import logging
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sengol_api.api.middleware import RequestContext
from sengol_api.api.status.board import status
from sengol_api.observability.events import observe
from sengol_api.observability.logging import configure
from sengol_api.observability.otel import OpenTelemetryTracer
from sengol_api.observability.sink import sinks
from sengol_api.observability.telemetry import Telemetry
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Health
from sengol_api.ops.status.host import HostStatus
from sengol_api.ops.status.trail import KEPT, STEP, Trail
from sengol_api.ops.status.worker import STATUS, WorkerStatus
from sengol_api.resilience import Bulkhead, Cache, CircuitBreaker, Registry, Retry, Timeout
from sengol_api.resilience.testing import ManualClock

Run = Callable[[int], Awaitable[None]]
HEADERS = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*"), (b"authorization", b"Bearer x" * 20)]


class Nowhere(SpanExporter):
    """Takes spans and forgets them: what sending costs is another thread's, and another machine's."""

    def export(self, spans: Any) -> SpanExportResult:  # noqa: ARG002 - they are forgotten
        """Forget."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""


async def answer(scope: Any, _receive: Any, send: Any) -> None:
    """The least that an application does."""
    scope.setdefault("state", {})["route"] = "/api/review/{id}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


async def taken(_message: Any) -> None:
    """The server's side of an answer."""


def requests(app: Any) -> Run:
    """So many requests, one after the other."""

    async def run(count: int) -> None:
        for _ in range(count):
            await app({"type": "http", "method": "GET", "scheme": "http", "path": "/x", "headers": HEADERS}, None, taken)

    return run


def around(telemetry: Telemetry) -> Run:
    """Requests through the middleware."""
    return requests(RequestContext(answer, slow_request=5000, telemetry=telemetry))


def calls(telemetry: Telemetry | None) -> Run:
    """Calls of a pipeline that nothing is wrong with."""
    registry = Registry()
    pipeline = registry.pipeline("dvecdb", Retry(), CircuitBreaker(), Bulkhead(), Timeout(5.0))
    if telemetry is not None:
        observe(registry, telemetry)

    async def work() -> None:
        return None

    async def run(count: int) -> None:
        for _ in range(count):
            await pipeline.call(work)

    return run


async def microseconds(run: Run, count: int) -> float:
    """What one of so many takes."""
    started = time.process_time()
    await run(count)
    return (time.process_time() - started) / count * 1e6


async def compare(name: str, without: Run, runs: dict[str, tuple[Run, Callable[[], None]]], pairs: int, count: int) -> None:
    """Print what each takes more than ``without``."""
    await without(count)
    print(f"  {name}")
    for label, (run, prepare) in runs.items():
        prepare()
        await run(count)
        more, bare = [], []
        for _ in range(pairs):
            bare.append(await microseconds(without, count))
            more.append(await microseconds(run, count) - bare[-1])
        print(f"    {label:<52} {statistics.median(bare):7.2f} µs  + {statistics.median(more):7.2f} µs")


def silent() -> None:
    """Nothing is logged."""
    logging.getLogger("sengol_api").setLevel(logging.CRITICAL)


def logged() -> None:
    """A JSON line a request, to /dev/null, by the real sink."""
    sys.stderr = Path("/dev/null").open("w")  # noqa: SIM115 - for the rest of the run
    configure("info", "json")
    sys.stderr = sys.__stderr__


async def scrape(pipelines: int, repeats: int) -> None:
    """Print what a scrape takes of a worker with so many pipelines, all of which have every usual policy."""
    registry, telemetry = Registry(), Telemetry()
    for number in range(pipelines):
        registry.pipeline(f"dependency {number}", Cache(key=str), Retry(), CircuitBreaker(), Bulkhead(), Timeout(5.0))
    observe(registry, telemetry)
    for route in range(30):
        telemetry.http.end("GET", f"/api/{route}", 200, 0.01)
    times, size = [], 0
    for _ in range(repeats):
        started = time.process_time()
        size = len(await telemetry.exposition())
        times.append((time.process_time() - started) * 1000)
    print(f"    {f'{pipelines} pipelines, 30 routes: {size / 1024:.0f} KiB':<52} {statistics.median(times):7.2f} ms")


async def status_page(pipelines: int, repeats: int) -> None:
    """Print what the status page takes of a worker: a step that is noted, and a sample while somebody looks."""
    registry, telemetry = Registry(), Telemetry()
    made = [
        registry.pipeline(f"dependency {number}", Cache(key=str), Retry(), CircuitBreaker(), Bulkhead(), Timeout(5.0))
        for number in range(pipelines)
    ]
    observe(registry, telemetry)

    async def work(number: int) -> int:
        return number

    async def use() -> None:
        for number, pipeline in enumerate(made):
            telemetry.http.end("GET", f"/api/{number}", 200, 0.01)
            await pipeline.call(work, number)

    clock = ManualClock()
    trail = Trail(telemetry.samples, clock=clock)
    own = WorkerStatus(Health([], registry), registry, Background(), Drain(), telemetry, clock=clock)
    own._trail = trail  # noqa: SLF001 - noted here by hand, an hour in a moment
    host, noted, sampled, size = HostStatus(telemetry, clock=clock), [], [], 0
    telemetry.host.offer(STATUS, own.tell)
    for _ in range(max(KEPT, repeats)):
        await use()
        clock.advance(STEP)
        started = time.process_time()
        trail.note()
        noted.append((time.process_time() - started) * 1000)
    for _ in range(repeats):
        started = time.process_time()
        size = len(msgspec.json.encode(status(await host.look())))
        sampled.append((time.process_time() - started) * 1000)
    print(f"    {f'{pipelines} pipelines: a step, every 5 s':<52} {statistics.median(noted):7.2f} ms")
    print(f"    {f'{pipelines} pipelines: a sample of {size / 1024:.0f} KiB, every 2 s':<52} {statistics.median(sampled):7.2f} ms")


async def measure(pairs: int, count: int) -> None:
    """All of it."""
    off, on = Telemetry(), Telemetry(tracer=OpenTelemetryTracer(Nowhere()))
    traced = {"counted, logged and traced (recorded)": (around(on), logged)}
    await compare(
        "a request, beside an application alone",
        requests(answer),
        {"counted": (around(off), silent), "counted and logged": (around(off), logged), **traced},
        pairs,
        count,
    )
    await compare(
        "a call of retry, breaker, bulkhead, timeout",
        calls(None),
        {"counted": (calls(off), silent), "counted and traced (recorded)": (calls(on), silent)},
        pairs,
        count,
    )
    print("  a scrape, one worker")
    for pipelines in (5, 30):
        await scrape(pipelines, pairs)
    print("  the status page, one worker, five minutes of calls in all pipelines")
    for pipelines in (5, 30):
        await status_page(pipelines, pairs)
    if on.tracer is not None:
        await on.tracer.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=31, help="runs of each kind")
    parser.add_argument("--count", type=int, default=2000, help="requests or calls of a run")
    options = parser.parse_args()
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    print(f"{platform.platform()}, {os.cpu_count()} cores, {cpu[1] if cpu else platform.machine()}")
    print(f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}\n")
    asyncio.run(measure(options.pairs, options.count))
    for sink in sinks():
        sink.setFormatter(logging.Formatter())
        sink.close()
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
