"""Several attempts at one call: the first success wins, and no attempt outlives the call. The engine of the hedge."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

Task: TypeAlias = asyncio.Task[Any]


class Race:
    """An attempt of the caller's own, and others that start later.

    The own attempt goes on in the caller's task: what it has begun there (a time limit, a task group) is bound to that task, and
    a call that needs no other attempt costs no task. When another attempt wins, the caller's task is cancelled as
    :func:`asyncio.timeout` does it, and that cancellation ends here.

    Args:
        task: of the caller.
        another: gives the work of one more attempt, or None when there shall be none.
        delay: seconds from one start to the next.
        most: attempts beside the own.
    """

    def __init__(self, task: Task, another: Callable[[], Coroutine[Any, Any, Any] | None], delay: float, most: int) -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = task.get_loop()
        self._another = another
        self._delay = delay
        self._left = most
        self._others: list[Task] = []
        self._own_runs = True
        self._winner: Task | None = None
        self._timer = self._loop.call_later(delay, self._start)

    def _start(self) -> None:
        work = self._another()
        if work is None:
            return
        other = self._loop.create_task(work)
        self._others.append(other)
        other.add_done_callback(self._ended)
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._delay, self._start)

    def _ended(self, other: Task) -> None:
        # Asking for the error consumes it as well: that of a loser is nobody's business.
        if _succeeded(other) and self._own_runs and self._winner is None:
            self._winner = other
            self._timer.cancel()
            self._task.cancel()

    async def run(self, own: Awaitable[None]) -> Task | None:
        """Wait for the first success. On return all attempts have ended.

        Args:
            own: the own attempt, or what is left of it.

        Returns:
            the attempt that won; None when it was the own one.

        Raises:
            Exception: that of the own attempt, when all have failed.
            asyncio.CancelledError: the caller was cancelled.
        """
        winner = None
        try:
            try:
                await own
            finally:
                self._own_runs = False
                self._timer.cancel()
        except asyncio.CancelledError:
            if not self._cut_by_us():
                raise
            winner = self._winner
        except GeneratorExit:  # closed from outside: nothing can be awaited any more
            self._cancel_others()
            self._others.clear()
            raise
        except Exception:
            self._cut_by_us()
            winner = await self._first_success()
            if winner is None:
                raise
        else:
            self._cut_by_us()
            winner = self._winner  # set when the own attempt held out against its cancellation
        finally:
            await self._stop()
        return winner

    def _cut_by_us(self) -> bool:
        """Whether the own attempt was cancelled because another had won, and for nothing else. Takes that cancellation back."""
        return self._winner is not None and self._task.uncancel() <= self._cancelling

    async def _first_success(self) -> Task | None:
        while True:
            for other in self._others:
                if other.done() and _succeeded(other):
                    return other
            running = self._running()
            if not running:
                return None
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)

    def _running(self) -> list[Task]:
        return [other for other in self._others if not other.done()]

    def _cancel_others(self) -> None:
        for other in self._running():
            other.cancel()

    async def _stop(self) -> None:
        """Cancel the others and wait until they have ended, even if the caller is cancelled meanwhile."""
        self._cancel_others()
        cancelled: asyncio.CancelledError | None = None
        try:
            while running := self._running():
                try:
                    await asyncio.wait(running)
                except asyncio.CancelledError as error:
                    cancelled = error
            if cancelled is not None:
                raise cancelled
        finally:
            del cancelled  # it would keep this frame, and this frame it


def _succeeded(ended: Task) -> bool:
    return not ended.cancelled() and ended.exception() is None
