"""A number of permits with a fair, bounded queue. The engine of the bulkhead."""

import asyncio
import threading
from collections import OrderedDict

from sengol_api.resilience.clock import Clock
from sengol_api.resilience.waiters import LoopWaiter, ThreadWaiter, Waiter


class QueueFull(Exception):
    """No place in the queue."""


class NoPermitInTime(Exception):
    """Nobody gave a permit back in time."""


class Permits:
    """Permits for a bounded number of holders, first come, first served.

    A free permit is an item of a list: to take one is ``pop``, to give one back ``append``, each one call into C that no thread can
    interrupt. So without contention no lock is taken. A permit that is given back while others wait is handed to the first of
    them: one wakes for one permit, and nobody overtakes.

    Giving back puts the permit down *before* it looks for waiters, queueing stands in line *before* it looks for permits.
    Whatever the order of two threads, one of them sees the other.

    Args:
        size: how many may hold a permit at once.
    """

    def __init__(self, size: int) -> None:
        self._lock = threading.Lock()
        self._size = size
        self._free: list[None] = [None] * size
        self._owed = 0  # permits to withdraw when they come back, after the size was lowered
        self.take_free = self._free.pop
        self.put_back = self._free.append
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()
        self.unsettled: bool = False

    @property
    def held(self) -> int:
        """Permits that are out."""
        with self._lock:
            return self._size + self._owed - len(self._free)

    def settle(self) -> None:
        """Hand free permits to those who wait. Call it after :attr:`put_back` while :attr:`waiting` or :attr:`unsettled`."""
        while True:
            woken = []
            with self._lock:
                while self._owed and self._pop():
                    self._owed -= 1
                self.unsettled = self._owed > 0
                while self.waiting and self._pop():
                    waiter, _ = self.waiting.popitem(last=False)
                    waiter.granted = True
                    woken.append(waiter)
            beyond_reach = [waiter for waiter in woken if not waiter.wake()]
            if not beyond_reach:
                return
            for waiter in beyond_reach:
                if self._leave(waiter):
                    self.put_back(None)

    def _pop(self) -> bool:
        try:
            self.take_free()
        except IndexError:
            return False
        return True

    def resize(self, size: int) -> None:
        """Change the number of permits. Those who hold one keep it."""
        with self._lock:
            more = size - self._size
            self._size = size
            if more > 0:
                forgiven = min(more, self._owed)
                self._owed -= forgiven
                self._free.extend([None] * (more - forgiven))
            else:
                self._owed -= more
        self.settle()

    def release(self) -> None:
        """Give a permit back."""
        self.put_back(None)
        if self.waiting or self.unsettled:
            self.settle()

    def _stand_in_line(self, waiter: Waiter, longest: int) -> None:
        with self._lock:
            if len(self.waiting) >= longest:
                raise QueueFull
            self.waiting[waiter] = None
        self.settle()

    def _leave(self, waiter: Waiter) -> bool:
        """Step out of the line. Whether a permit was handed over before that: who asks, has it, and nobody is told twice."""
        with self._lock:
            self.waiting.pop(waiter, None)
            granted, waiter.granted = waiter.granted, False
            return granted

    async def wait(self, longest: int, seconds: float | None) -> None:
        """Wait for a permit.

        Args:
            longest: places in the queue.
            seconds: to wait at most.

        Raises:
            QueueFull: all places are taken.
            NoPermitInTime: the time is over.
        """
        if seconds is not None and seconds <= 0:
            raise NoPermitInTime
        waiter = LoopWaiter()
        self._stand_in_line(waiter, longest)
        timer = None
        try:
            if seconds is not None:
                timer = asyncio.get_running_loop().call_later(seconds, waiter.wake)
            await waiter.woken
        except BaseException:
            if self._leave(waiter):
                self.release()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if not self._leave(waiter):
            raise NoPermitInTime

    def wait_sync(self, longest: int, seconds: float | None, clock: Clock) -> None:
        """The same for a plain thread."""
        if seconds is not None and seconds <= 0:
            raise NoPermitInTime
        waiter = ThreadWaiter()
        self._stand_in_line(waiter, longest)
        try:
            clock.wait(waiter.woken, seconds)
        except BaseException:
            if self._leave(waiter):
                self.release()
            raise
        if not self._leave(waiter):
            raise NoPermitInTime
