"""Plain threads, side by side, and a clock that shows which of them wait."""

import contextvars
import threading
from collections.abc import Callable
from typing import Any

from sengol_api.resilience.testing import ManualClock


class WaitingClock(ManualClock):
    """A clock on which threads wait in truth, and which tells how many do.

    Attributes:
        waiting: released by each thread that begins to wait.
    """

    def __init__(self) -> None:
        super().__init__(now=0.0, wall=0.0)
        self.waiting = threading.Semaphore(0)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Wait for the event, however long that takes."""
        self.waiting.release()
        return event.wait()


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """What each gave or raised, each in a thread of its own with a copy of the present context. All begin together."""
    results: list[Any] = [None] * len(works)
    together = threading.Barrier(len(works))

    def one(number: int) -> None:
        together.wait()
        try:
            results[number] = works[number]()
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            results[number] = error

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(one, number)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
