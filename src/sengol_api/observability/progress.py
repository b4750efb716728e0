"""A progress bar on standard error, for work that a person waits for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


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
