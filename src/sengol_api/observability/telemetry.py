"""All that a worker tells of itself, in one object: made once, given to whoever has something to count or to ask.

::

    telemetry = Telemetry(host=Host(directory), tracer=start_tracing(environment))
    async with telemetry.running():              # in the event loop of the worker
        observe(registry, telemetry)             # every pipeline, of today and to come
        telemetry.rungs.count("vector index", "embedded")
        telemetry.usage.follow(client.get_stats)
        telemetry.collect_from(more)             # any function that gives samples of families in the CATALOGUE
        page = await telemetry.exposition()      # of all workers, in Prometheus's text format
        answers = await telemetry.host.ask("status")
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sengol_api.observability.events import EventLog
from sengol_api.observability.host import Host
from sengol_api.observability.logging import loop_fault
from sengol_api.observability.metrics.http import HttpRequests
from sengol_api.observability.metrics.model import CATALOGUE, Sample, Samples, from_json, gathered, merged, to_json
from sengol_api.observability.metrics.pipelines import PipelineCalls
from sengol_api.observability.metrics.process import LoopLag, ProcessUsage
from sengol_api.observability.metrics.text import exposition
from sengol_api.observability.metrics.toolkit import toolkit_samples
from sengol_api.observability.metrics.work import Rungs, Usage, log_samples
from sengol_api.observability.tracing import Tracer
from sengol_api.resilience import Registry

METRICS: Final = "metrics"
KEEP_EVERY: Final = 5.0
"""Seconds between two times that a worker leaves its counts for the others: what a ``kill -9`` loses at most."""

LAST_SPANS: Final = 1.8
"""Seconds for the last spans: less than a last step of the process has, so that the counts are left in any case."""

_WORKERS: Final = CATALOGUE.gauge(
    "sengol_workers",
    "Places of workers by what became of asking them: answered, silent (there, but stuck), failed, or gone.",
    "state",
)
_log = logging.getLogger("sengol_api.telemetry")

Collect = Callable[[], Iterable[Sample]]


class Telemetry:
    """Metrics and traces of this worker, and its way to the others.

    Attributes:
        http: requests.
        rungs: what answers were made from.
        usage: what models took.
        lag: of the event loop.
        host: the other workers.
        tracer: makes spans; None without traces.

    Args:
        host: the other workers; none by default.
        tracer: that :func:`~sengol_api.observability.tracing.start_tracing` gave.
    """

    def __init__(self, *, host: Host | None = None, tracer: Tracer | None = None) -> None:
        self.host = host or Host(None)
        self.tracer = tracer
        self.http = HttpRequests()
        self.rungs = Rungs()
        self.usage = Usage()
        self.lag = LoopLag()
        self._calls = PipelineCalls()
        self._events = EventLog()
        self._registries: list[Registry] = []
        self._collectors: list[Collect] = [
            ProcessUsage().collect,
            self.http.collect,
            self.rungs.collect,
            self.usage.collect,
            self.lag.collect,
            self._calls.collect,
            log_samples,
        ]
        if tracer is not None:
            self._collectors.append(tracer.collect)
        self._before = _readable(self.host.inherited(METRICS))
        self.host.offer(METRICS, self._give)

    def observe(self, registry: Registry) -> Callable[[], None]:
        """See :func:`~sengol_api.observability.events.observe`."""
        self._registries.append(registry)
        ends = [registry.subscribe(self._events.heard), registry.subscribe(self._calls.heard)]
        if self.tracer is not None:
            ends += [registry.subscribe(self.tracer.heard), registry.instrument(self.tracer)]
        ends.append(registry.instrument(self._calls))

        def end() -> None:
            while ends:
                ends.pop()()
                self._registries = [each for each in self._registries if each is not registry]

        return end

    def collect_from(self, collect: Collect) -> None:
        """Ask ``collect`` for samples too, whenever somebody asks for metrics. It must be quick, and touch nothing outside."""
        self._collectors.append(collect)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch the event loop, answer the other workers, and leave counts for them, while the block runs."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(loop_fault)
        self.lag.start()
        keeping = asyncio.create_task(self._keep_on())
        try:
            async with self.host.open():
                yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            self.lag.stop()
            await self.close()

    async def close(self) -> None:
        """Send the last spans, for as long as that may take at most, and leave the counts for the others.

        A second time finds nothing more to send: the end of a process asks for it in any case, since what is left behind may hold
        up all else.
        """
        if self.tracer is not None:
            await self.tracer.close(LAST_SPANS)
        self._keep()

    async def _keep_on(self) -> None:
        while not self.host.alone:
            self._keep()
            await asyncio.sleep(KEEP_EVERY)

    def _keep(self) -> Samples:
        samples = self.samples()
        self.host.keep(METRICS, to_json(samples))
        return samples

    def _give(self, _argument: Any) -> dict[str, list[list[Any]]]:
        """The samples of this worker for another one. They are kept first: what was shown must not be less when it is gone."""
        return to_json(self._keep())

    def samples(self) -> Samples:
        """The samples of this worker, and what those that had its place before have counted."""
        return merged([(self._before, False), (gathered(self._collected()), True)])

    def _collected(self) -> Iterator[Sample]:
        sources: list[Collect] = [*self._collectors]
        sources += [lambda registry=registry: toolkit_samples(registry) for registry in self._registries]  # type: ignore[misc]
        for collect in sources:
            try:
                samples = list(collect())
            except Exception:  # noqa: BLE001 - the other metrics are needed all the more
                _log.exception("metrics could not be collected")
                continue
            yield from samples

    async def everywhere(self, *, seconds: float = 0.5) -> Samples:
        """The samples of all workers as one: of those that answer as they are now, of the others what they counted to the end.

        Args:
            seconds: that a worker has to answer.
        """
        answers = await self.host.ask(METRICS, seconds=seconds)
        kept = self.host.kept(METRICS)
        parts: list[tuple[Samples, bool]] = []
        states = dict.fromkeys(("answered", "silent", "failed", "gone"), 0.0)
        for answer in answers:
            states[answer.state] += 1
            lives = answer.state == "answered"
            parts.append((_readable(answer.document if lives else kept.get(answer.place)), lives))
        workers = gathered((_WORKERS, (state,), count) for state, count in states.items())
        return merged([*parts, (workers, True)])

    async def exposition(self) -> bytes:
        """The metrics of all workers in Prometheus's text format."""
        samples = await self.everywhere()
        await asyncio.sleep(0)  # some milliseconds each: a request in between need not wait for both
        return exposition(samples)


def _readable(document: Any) -> Samples:
    try:
        return from_json(document or {})
    except (ValueError, TypeError, AttributeError):  # half a file, or one of another version
        return {}
