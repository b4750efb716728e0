"""Ends a worker whose event loop is stuck, so that its parent starts another.

A liveness probe finds a stuck loop by itself where one process listens on a port. With several workers behind one port it meets the
stuck one only now and then, and the clients that do wait for ever.
"""

import asyncio
import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

PATIENCE: Final = 30.0
STUCK: Final = 70
"""Exit code of a worker that was ended for this."""
_log = logging.getLogger(__name__)


class LoopWatch:
    """Asks the event loop for a sign of life once a second, from a thread.

    It counts what was not answered rather than time that passed: a process that was stopped and goes on has missed one answer.

    Args:
        loop: to watch.
        patience: signs of life that may be missing in a row, at one a second.
        tick: waits for a second.
        end: is called when there were more; by default writes the stack of every thread to standard error and ends the process.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        patience: float = PATIENCE,
        tick: Callable[[], object] = lambda: time.sleep(1.0),
        end: Callable[[], object] | None = None,
    ) -> None:
        self._loop = loop
        self._patience = patience
        self._tick = tick
        self._end = end or _end
        self._alive = True
        self._missed = 0

    def start(self) -> None:
        """Watch from now on, until the loop is closed."""
        threading.Thread(target=self.watch, daemon=True, name="loop watch").start()

    def watch(self) -> None:
        """Until the loop is closed or stuck."""
        while self._missed <= self._patience:
            self._missed = 0 if self._alive else self._missed + 1
            self._alive = False
            try:
                self._loop.call_soon_threadsafe(self._sign)
            except RuntimeError:  # closed
                return
            self._tick()
        self._end()

    def _sign(self) -> None:
        self._alive = True


def _end() -> None:
    _log.critical("the event loop is stuck: this worker ends, the stacks of its threads follow")
    faulthandler.dump_traceback(all_threads=True)
    os._exit(STUCK)
