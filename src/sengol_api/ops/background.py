"""Work that runs beside the requests, under a supervisor: what fails is logged, counted and started again after a pause."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import Final, Self

from sengol_api.resilience.backoff import exponential, jittered

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
_PATIENCE: Final = 5.0
_log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]


class WorkState(StrEnum):
    """What a piece of background work does now."""

    RUNNING = "running"
    """It runs."""
    PAUSED = "paused"
    """It failed, and will be started again."""
    RESTING = "resting"
    """It is done until its next turn."""
    DONE = "done"
    """It came to its end."""
    STOPPED = "stopped"
    """It was stopped with the process."""


@dataclass(frozen=True, slots=True)
class WorkSnapshot:
    """How a piece of background work stands.

    Attributes:
        state: what it does now.
        starts: how often it was started.
        failures: how often it failed, in all.
        failures_in_a_row: how often since it last did well.
        last_error: class of the last failure; None before the first. Its text is in the log.
        pause: seconds between the last failure and the start after it; None unless it is paused.
    """

    state: WorkState
    starts: int
    failures: int
    failures_in_a_row: int
    last_error: str | None
    pause: float | None


class _Supervised:
    """One piece of work and its count."""

    def __init__(self, name: str, work: Work, every: float | None, random: Random) -> None:
        self.name = name
        self._work = work
        self._every = every
        self._random = random
        self._state = WorkState.RUNNING
        self._starts = self._failures = self._in_a_row = 0
        self._last_error: str | None = None
        self._pause: float | None = None

    async def run(self) -> None:
        """Until the work is done or this is cancelled."""
        pause: float | None = 0.0
        ended = WorkState.STOPPED
        try:
            while pause is not None and not _being_cancelled():  # work may swallow a cancellation
                await asyncio.sleep(pause)
                pause = await self._turn()
            ended = WorkState.STOPPED if _being_cancelled() else WorkState.DONE
        finally:
            self._state = ended

    async def _turn(self) -> float | None:
        """One start; the seconds until the next, or None if it was the last."""
        loop = asyncio.get_running_loop()
        self._state, self._pause = WorkState.RUNNING, None
        self._starts += 1
        started = loop.time()
        try:
            await self._work()
        except asyncio.CancelledError as error:
            if _being_cancelled():
                raise
            return self._failed(error, ran=loop.time() - started)  # something inside was cancelled, not the work itself
        except Exception as error:  # noqa: BLE001 - whatever it is, the work is started again
            return self._failed(error, ran=loop.time() - started)
        self._in_a_row = 0
        self._state = WorkState.RESTING
        return self._every

    def _failed(self, error: BaseException, *, ran: float) -> float:
        # What ran well for long before it failed is no work that cannot start: its pauses grow from the first again.
        self._in_a_row = 1 if ran > LONGEST_PAUSE else self._in_a_row + 1
        self._failures += 1
        self._last_error = type(error).__name__
        longest = exponential(self._in_a_row, FIRST_PAUSE, 2.0, LONGEST_PAUSE)
        pause = self._pause = jittered("equal", longest, longest, FIRST_PAUSE, LONGEST_PAUSE, self._random)
        self._state = WorkState.PAUSED
        facts = {"work": self.name, "failuresInARow": self._in_a_row, "pauseMs": round(pause * 1000)}
        _log.error("background work failed and is started again", exc_info=error, extra=facts)
        return pause

    def snapshot(self) -> WorkSnapshot:
        return WorkSnapshot(self._state, self._starts, self._failures, self._in_a_row, self._last_error, self._pause)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Background:
    """The supervisor of one process's background work.

    ::

        async with Background() as background:
            background.run("rebuild of the index", index.follow)            # started again whenever it fails
            background.run("price list", prices.refresh, every=3600)        # again an hour after it was done

    Leaving the block cancels all work and waits for it to end, though not for ever.

    Args:
        random: source of the jitter of the pauses.
    """

    def __init__(self, *, random: Random | None = None) -> None:
        self._random = random or Random()  # noqa: S311 - it spreads restarts
        self._work: dict[str, _Supervised] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def run(self, name: str, work: Work, *, every: float | None = None) -> None:
        """Start a piece of work on the running event loop.

        It gets a context of its own: no request's id, no caller's deadline.

        Args:
            name: for logs, statistics and the admin.
            work: a coroutine function without arguments. One that returns is done, unless ``every`` is given; one that raises is
                started again after a pause of one second, doubling with each failure up to a minute, half of it by chance.
            every: seconds between the end of one turn and the next.

        Raises:
            ValueError: work of that name runs already.
        """
        if name in self._tasks and not self._tasks[name].done():
            raise ValueError(f"background work {name!r} runs already")
        supervised = self._work[name] = _Supervised(name, work, every, self._random)
        self._tasks[name] = asyncio.get_running_loop().create_task(supervised.run(), name=name, context=Context())

    async def stop(self) -> None:
        """Cancel all work, and wait for it to end; what takes longer than five seconds is named in the log and left behind."""
        tasks = {task: name for name, task in self._tasks.items()}
        for task in tasks:
            task.cancel()
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=_PATIENCE)
        if left:
            _log.warning("background work does not end", extra={"work": sorted(tasks[task] for task in left)})

    def snapshot(self) -> dict[str, WorkSnapshot]:
        """How each piece of work stands, by its name."""
        return {name: supervised.snapshot() for name, supervised in self._work.items()}
