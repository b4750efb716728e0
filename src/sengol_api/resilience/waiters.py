"""Waiting in line for a permit: coroutines of any event loop and plain threads, side by side."""

import asyncio
import threading
from typing import Protocol


class Waiter(Protocol):
    """Somebody in line.

    Attributes:
        granted: a permit was handed to it; it belongs to the waiter from then on, even if that never wakes.
    """

    granted: bool

    def wake(self) -> bool:
        """Let it go on; false when it is beyond reach, because its event loop is closed."""
        ...


class LoopWaiter:
    """A coroutine in line."""

    __slots__ = ("_loop", "granted", "woken")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.woken: asyncio.Future[None] = self._loop.create_future()
        self.granted = False

    def wake(self) -> bool:
        """Let it go on, from whatever thread."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            self._set()
            return True
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:
            return False
        return True

    def _set(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


class ThreadWaiter:
    """A plain thread in line."""

    __slots__ = ("granted", "woken")

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.granted = False

    def wake(self) -> bool:
        """Let it go on."""
        self.woken.set()
        return True
