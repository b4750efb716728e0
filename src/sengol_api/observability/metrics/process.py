"""This process: what it takes of the machine, and how late its event loop is."""

import asyncio
import os
import platform
import resource
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sengol_api import __version__
from sengol_api.observability.metrics.instruments import Distribution
from sengol_api.observability.metrics.model import CATALOGUE, Sample

_counter, _gauge = CATALOGUE.counter, CATALOGUE.gauge

_BUILD: Final = _gauge("sengol_build_info", "Always 1; what runs stands in the labels.", "version", "python", across="max")
_CPU: Final = _counter("process_cpu_seconds_total", "Processor time of the workers, in user and system mode.")
_RESIDENT: Final = _gauge(
    "process_resident_memory_bytes", "Resident memory of the workers; pages that they share count for each of them."
)
_VIRTUAL: Final = _gauge("process_virtual_memory_bytes", "Address space of the workers.")
_OPEN: Final = _gauge("process_open_fds", "Open file descriptors of the workers.")
_MOST_OPEN: Final = _gauge("process_max_fds", "File descriptors that one worker may open.", across="min")
_STARTED: Final = _gauge("process_start_time_seconds", "Start of the oldest worker, in seconds since the epoch.", across="min")
_THREADS: Final = _gauge("process_threads", "Threads of the workers.")
_TASKS: Final = _gauge("sengol_event_loop_tasks", "Tasks that are not done.")
_LAG: Final = CATALOGUE.histogram(
    "sengol_event_loop_lag_seconds",
    "How much later than asked for a timer came up; 0.1 s apart.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
_LONGEST: Final = _gauge("sengol_event_loop_lag_max_seconds", "The most of that within the last minute.", across="max")

_PAGE: Final = resource.getpagesize()
_PERIOD: Final = 0.1
_MEMORY: Final = 60.0


def _started_at(proc: Path) -> float | None:
    """Seconds since the epoch at which this process began; None where the system does not tell."""
    try:
        ticks = float(_stat(proc)[19])
        boot = next(line for line in (proc.parent / "stat").read_text().splitlines() if line.startswith("btime"))
    except (OSError, StopIteration, IndexError, ValueError):
        return None
    return float(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")


def _stat(proc: Path) -> list[str]:
    return (proc / "stat").read_text().rpartition(")")[2].split()


class ProcessUsage:
    """What the process takes; what the system does not tell is left out.

    Args:
        proc: where Linux shows this process.
    """

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc
        self._started = _started_at(proc)

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        yield _BUILD, (__version__, platform.python_version()), 1.0
        yield _CPU, (), time.process_time()
        yield _MOST_OPEN, (), float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if self._started is not None:
            yield _STARTED, (), self._started
        try:
            stat = _stat(self._proc)
            yield _OPEN, (), float(len(os.listdir(self._proc / "fd")))  # noqa: PTH208 - a Path for each would cost more than the list
            yield _THREADS, (), float(stat[17])
            yield _VIRTUAL, (), float(stat[20])
            yield _RESIDENT, (), float(stat[21]) * _PAGE
        except (OSError, IndexError, ValueError):
            return


class LoopLag:
    """How late timers of the event loop come up: what any work on it had to wait for.

    A timer that comes up at a random moment sees what a request sees, so a tenth of a second between two is enough to know the
    distribution; a single hold-up shorter than that may be missed.
    """

    def __init__(self) -> None:
        self._lag = Distribution(_LAG)
        self._series = self._lag.series()
        self._recent: deque[tuple[float, float]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop until :meth:`stop`."""
        self._loop = asyncio.get_running_loop()
        self._again()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def _again(self) -> None:
        loop = self._loop
        if loop is not None:
            self._due = loop.time() + _PERIOD
            self._timer = loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        loop = self._loop
        if loop is not None:
            now = loop.time()
            self._note(now, max(0.0, now - self._due))
            self._again()

    def _note(self, now: float, lag: float) -> None:
        self._series.observe(lag)
        recent = self._recent  # falls from left to right: what is older and shorter can be the longest no more
        while recent and recent[-1][1] <= lag:
            recent.pop()
        recent.append((now, lag))
        while recent[0][0] < now - _MEMORY:
            recent.popleft()

    def longest(self) -> float:
        """The longest lag of the last minute, and not less than the one that goes on now, in seconds."""
        known = self._recent[0][1] if self._recent else 0.0
        return max(known, self._loop.time() - self._due if self._loop is not None else 0.0)

    def collect(self) -> Iterator[Sample]:
        """The samples now."""
        yield from self._lag.collect()
        if self._loop is not None:
            yield _LONGEST, (), self.longest()
            yield _TASKS, (), float(len(asyncio.all_tasks(self._loop)))
