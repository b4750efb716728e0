"""How far work is that is waited for: a bar on standard error for a person, lines in the log for everybody else."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


SECONDS_BETWEEN: Final = 10.0
_log = logging.getLogger("sengol_api.progress")


class ProgressBar:
    """Tells how the loading of incidents goes on. It is drawn from the first :meth:`begin`: most starts have nothing to load."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def begin(self, what: str, total: int) -> None:
        """Work on so many incidents begins."""
        if self._progress is None:
            self._progress = _draw()
        self._task = self._progress.add_task(f"loading {what}", total=total)

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, count)

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._progress is not None:
            self._progress.stop()


def _draw() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    progress.start()
    return progress


@contextmanager
def progress_bar() -> Iterator[ProgressBar]:
    """A bar for the work of a block."""
    bar = ProgressBar()
    try:
        yield bar
    finally:
        bar.close()


class ProgressLines:
    """Tells the same in lines of the log: when the work begins, how far it is every ten seconds, and when it is done.

    Args:
        now: gives seconds on a clock that never steps.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._what: str | None = None
        self._done = self._total = 0
        self._began = self._told = 0.0

    def begin(self, what: str, total: int) -> None:
        """Work on so many incidents begins, and the one before is done."""
        self.end()
        self._what, self._total, self._done, self._began = what, total, 0, self._now()
        self._tell()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if self._what is not None and self._now() - self._told >= SECONDS_BETWEEN:
            self._tell()

    def end(self) -> None:
        """All that was begun is done."""
        if self._what is not None:
            facts = {"what": self._what, "total": self._total, "seconds": round(self._now() - self._began, 1)}
            _log.info("loaded", extra=facts)
        self._what = None

    def _tell(self) -> None:
        self._told = self._now()
        _log.info("loading", extra={"what": self._what, "done": self._done, "total": self._total})


@contextmanager
def progress_lines(now: Callable[[], float] = time.monotonic) -> Iterator[ProgressLines]:
    """Lines for the work of a block; one that breaks off is told by whoever hears of its error."""
    lines = ProgressLines(now)
    yield lines
    lines.end()
