"""All workers of this server as one, at a moment."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sengol_api.observability.host import Answer
from sengol_api.observability.metrics.model import Samples, from_json
from sengol_api.observability.telemetry import Telemetry
from sengol_api.ops.status.changes import Change
from sengol_api.ops.status.timeline import Timeline, Window
from sengol_api.ops.status.trail import KEPT
from sengol_api.ops.status.worker import STATUS
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock


@dataclass(frozen=True, slots=True)
class Check:
    """What a worker heard of a dependency.

    Attributes:
        status: ok, degraded or down.
        seconds: that the answer took.
        reason: why it is not ok.
        pipeline: whose circuit breaker guards it.
        required: the worker cannot serve without it.
    """

    status: str
    seconds: float
    reason: str | None = None
    pipeline: str | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Breaker:
    """How a circuit breaker stands in a worker.

    Attributes:
        state: CLOSED, OPEN, HALF_OPEN, ISOLATED or DISABLED.
        since: when it got there, in seconds since the epoch.
        retry_after: seconds until it lets a probe through; None unless it is open.
        failures: that its window holds.
    """

    state: str
    since: float
    retry_after: float | None
    failures: int


@dataclass(frozen=True, slots=True)
class Work:
    """A piece of background work: its state, its failures in a row, and the class of the last one."""

    state: str
    failures: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Worker:
    """What came of asking one worker.

    Attributes:
        place: its number.
        state: answered, silent, failed or gone; the rest is empty unless it answered.
        started: when, in seconds since the epoch.
        phase: serving, draining, stopping or cutting.
        lag: longest lag of its event loop within a minute, in seconds.
        status: of its dependencies: ok, degraded or down; None before the first answer of theirs.
        stores: of its rate limits: none, shared, or away while it counts by itself.
    """

    place: int
    state: Literal["answered", "silent", "failed", "gone"]
    started: float = 0.0
    phase: str = "serving"
    lag: float = 0.0
    status: str | None = None
    checks: Mapping[str, Check] = field(default_factory=dict)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    changes: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    background: Mapping[str, Work] = field(default_factory=dict)
    stores: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """The host at a moment.

    Attributes:
        at: when, in seconds since the epoch.
        workers: by their places; of those that are gone only the place.
        samples: metrics of all, as they are now.
        window: the last five minutes.
        check_times: seconds that the check of each dependency took, with each step; None while nobody looked.
    """

    at: float
    workers: tuple[Worker, ...]
    samples: Samples
    window: Window
    check_times: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    @property
    def answered(self) -> tuple[Worker, ...]:
        """The workers that speak."""
        return tuple(worker for worker in self.workers if worker.state == "answered")


PATIENCE: Final = (1.0, 2.0)
GRACE: Final = 6.0
"""Seconds since its last answer after which a worker that gives none counts as silent: one that is busy answers the next time."""
_UNREADABLE: Final = (ValueError, TypeError, LookupError, AttributeError)


class HostStatus:
    """Asks all workers of this server.

    Args:
        telemetry: of this worker.
        clock: of the times.
        patience: seconds that a worker has to answer, and at a first look, when it has five minutes to tell of.
    """

    def __init__(self, telemetry: Telemetry, *, clock: Clock = SYSTEM_CLOCK, patience: tuple[float, float] = PATIENCE) -> None:
        self._telemetry = telemetry
        self._patience, self._first_patience = patience
        self._last: dict[int, tuple[float, Worker]] = {}
        self._timeline = Timeline()
        self._check_times: dict[str, dict[int, float]] = {}
        self._wall: Callable[[], float] = clock.wall

    async def look(self) -> Seen:
        """How the host is now: within a second, also when a worker hangs; at a first look, two seconds."""
        recent = any(0 <= self._wall() - at < GRACE for at, _ in self._last.values())
        patience = self._patience if recent else self._first_patience
        asked = self._telemetry.host.ask(STATUS, {"since": self._timeline.known}, seconds=patience)
        samples, answers = await asyncio.gather(self._telemetry.everywhere(seconds=patience), asked)
        now = self._wall()
        workers = tuple(self._read(answer, now) for answer in answers)
        return Seen(now, workers, samples, self._timeline.window(now), self._note_checks(workers, now))

    def _note_checks(self, workers: Sequence[Worker], now: float) -> dict[str, list[float | None]]:
        """Note how long the checks took, the slowest worker's with each step: nobody calls a database through a pipeline."""
        newest = self._timeline.newest(now) + 1  # the one that is under way
        for worker in workers:
            for name, check in worker.checks.items():
                times = self._check_times.setdefault(name, {})
                times[newest] = max(times.get(newest, 0.0), check.seconds)
        steps = range(newest - KEPT + 1, newest + 1)
        self._check_times = {
            name: {step: times[step] for step in steps if step in times} for name, times in self._check_times.items()
        }
        return {name: [times.get(step) for step in steps] for name, times in self._check_times.items() if times}

    def _read(self, answer: Answer, now: float) -> Worker:
        at, last = self._last.get(answer.place, (-math.inf, None))
        if answer.state == "silent" and last is not None and 0 <= now - at < GRACE:
            return last
        if answer.state != "answered":
            return Worker(answer.place, answer.state)
        try:
            worker = _worker(answer.place, answer.document)
            steps = [(int(step), from_json(grown)) for step, grown in answer.document["steps"]]
            self._timeline.add(answer.place, steps, now=now)
        except _UNREADABLE:  # of another version, in the middle of an update
            return Worker(answer.place, "failed")
        self._last[answer.place] = now, worker
        return worker


def _worker(place: int, told: Mapping[str, Any]) -> Worker:
    return Worker(
        place,
        "answered",
        started=told["startedAt"],
        phase=told["phase"],
        lag=told["lag"],
        status=told["status"],
        checks={name: Check(**each) for name, each in told["checks"].items()},
        breakers={
            name: Breaker(each["state"], each["since"], each["retryAfter"], each["failures"])
            for name, each in told["breakers"].items()
        },
        changes={name: tuple(Change(*each) for each in changes) for name, changes in told["changes"].items()},
        stores=dict(told["stores"]),
        background={name: Work(**each) for name, each in told["background"].items()},
    )
