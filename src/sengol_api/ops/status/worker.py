"""What one worker says of itself when the status page of any worker asks."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from sengol_api.observability.metrics.model import to_json
from sengol_api.observability.telemetry import Telemetry
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Check, Health, Report
from sengol_api.ops.status.changes import Changes
from sengol_api.ops.status.trail import Trail
from sengol_api.resilience import CircuitChanged, RateLimit, Registry
from sengol_api.resilience.breaker.states import CircuitBreakerSnapshot
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock

STATUS: Final = "status"
FRESH: Final = 1.5
"""Seconds for which what the dependencies said is told again without asking them."""
PATIENCE: Final = 0.25
"""Seconds that an answer waits for them: a dependency that hangs must not make this worker look stuck."""
FIRST_PATIENCE: Final = 1.25
"""The same while nothing is known of them. Each has a second to answer, as a rule."""
_log = logging.getLogger(__name__)


class WorkerStatus:
    """Remembers what happened in this worker, and tells it to all that ask over the host.

    Args:
        health: of the dependencies.
        registry: of the pipelines.
        background: work beside the requests.
        drain: how far the end of this process is.
        telemetry: what it counts, and its way to the others.
        clock: of the times.
    """

    def __init__(
        self,
        health: Health,
        registry: Registry,
        background: Background,
        drain: Drain,
        telemetry: Telemetry,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._health = health
        self._registry = registry
        self._background = background
        self._drain = drain
        self._telemetry = telemetry
        self._clock = clock
        self._started = clock.wall()
        self._changes = Changes()
        self._trail = Trail(telemetry.samples, clock=clock)
        self._report: Report | None = None
        self._report_at = 0.0
        self._asking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Remember and tell while the block runs."""
        end = self._registry.subscribe(self._changes.heard, CircuitChanged)
        self._telemetry.host.offer(STATUS, self.tell)
        noting = asyncio.create_task(self._trail.run(), name="trail of the status page")
        noting.add_done_callback(_say_why)
        try:
            yield
        finally:
            end()
            tasks = [noting, *([self._asking] if self._asking else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def tell(self, argument: Mapping[str, Any] | None) -> dict[str, Any]:
        """What this worker says of itself.

        Args:
            argument: ``since``: the last step of each worker, by its place, that the asker knows already.
        """
        report = await self._latest_report()
        known = (argument or {}).get("since", {}).get(str(self._telemetry.host.place), -1)
        return {
            "startedAt": self._started,
            "phase": str(self._drain.phase),
            "lag": self._telemetry.lag.longest(),
            "status": None if report is None else report.status,
            "checks": {} if report is None else self._checks(report.checks),
            # One that several pipelines share goes by the pipeline that made it, as its events do.
            "breakers": {each.site.pipeline: _breaker(each.snapshot()) for each in self._registry.breakers().values()},
            "changes": self._changes.to_json(),
            "stores": {name: limits[0].snapshot().store for name, limits in self._registry.policies(RateLimit.kind).items()},
            "background": {
                name: {"state": str(work.state), "failures": work.failures_in_a_row, "error": work.last_error}
                for name, work in self._background.snapshot().items()
            },
            "steps": [[step, to_json(grown)] for step, grown in self._trail.since(known).items()],
        }

    def _checks(self, checks: Mapping[str, Check]) -> dict[str, Any]:
        return {
            name: {
                "status": check.status,
                "seconds": check.seconds,
                "reason": check.reason,
                "pipeline": self._health.dependencies[name].pipeline,
                "required": name in self._health.required,
            }
            for name, check in checks.items()
        }

    async def _latest_report(self) -> Report | None:
        """What the dependencies said last; asked anew beside this when that is some time ago."""
        if self._report is None or self._clock.now() - self._report_at >= FRESH:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(), name="health for the status page")
            await asyncio.wait({self._asking}, timeout=FIRST_PATIENCE if self._report is None else PATIENCE)
        return self._report

    async def _ask(self) -> None:
        try:
            self._report = await self._health.report()
        except Exception:  # noqa: BLE001 - the page shows all the rest
            _log.exception("the health of the dependencies cannot be had")
        self._report_at = self._clock.now()


def _breaker(value: CircuitBreakerSnapshot) -> dict[str, Any]:
    return {"state": str(value.state), "since": value.since, "retryAfter": value.retry_after, "failures": value.recent_failures}


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("the status page has no history from now on", exc_info=error)
