"""Coalescing: callers that want the same thing at the same time share one call.

Coroutines of one event loop share, and so do plain threads; two event loops do not. (The loop that makes the call may be stopped
at any time, without a word to anybody; callers in another one would then wait for ever.)

In an event loop the shared call runs in a task of its own, which belongs to none of its callers: each waits for a future of its
own, and to cancel that does nothing to the call, unless nobody else is left who wants it. Plain functions cannot be left: the
thread that comes first makes the call itself, under its own deadline.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeAlias

from sengol_api.resilience.cache.keys import Key
from sengol_api.resilience.cache.scope import leave_scope
from sengol_api.resilience.clock import Clock
from sengol_api.resilience.deadline import current, without_deadline

Home: TypeAlias = asyncio.AbstractEventLoop | None
"""Who can share: the coroutines of one event loop, or all plain threads."""


class NotInTime(Exception):
    """The shared call did not end in the time that this caller had."""


class Claim:
    """The right of a call to keep what it gives.

    Attributes:
        key: under which.
        superseded: something newer was written under the key, or it was invalidated: what the call gives is not to be kept.
    """

    __slots__ = ("key", "superseded")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.superseded = False


class SharedCall:
    """One call that several wait for.

    Attributes:
        claim: what the call itself knows of this. (Not more: its error has its frames, and they must not have the error.)
        result: what it gave.
        error: what it raised, if that is an answer to all who wait.
        abandoned: it ended without an answer (it was cancelled, or the process is going down): nobody's but the first caller's.
        expires_at: end of the deadline that it runs under; None for none.
    """

    __slots__ = (
        "_traceback",
        "abandoned",
        "claim",
        "ended",
        "error",
        "expires_at",
        "home",
        "result",
        "task",
        "waiters",
        "wanted",
    )

    def __init__(self, home: Home, key: Key) -> None:
        self.home = home
        self.claim = Claim(key)
        self.result: Any = None
        self.error: Exception | None = None
        self._traceback: TracebackType | None = None
        self.abandoned: BaseException | None = asyncio.CancelledError()  # until it ends in some other way
        self.wanted = False
        self.expires_at: float | None = None
        self.waiters: dict[asyncio.Future[None], None] = {}
        self.task: asyncio.Task[None] | None = None
        self.ended = threading.Event()

    def returned(self, result: Any) -> None:
        """It gave a result."""
        self.abandoned = None
        self.result = result

    def failed(self, error: Exception) -> None:
        """It raised."""
        self.abandoned = None
        self.error = error
        self._traceback = error.__traceback__

    def failure(self) -> Exception | None:
        """The error to raise, with the traceback of the call alone: it does not grow with the number of those who raise it."""
        return self.error and self.error.with_traceback(self._traceback)


_inside: contextvars.ContextVar[tuple[SharedCall, ...]] = contextvars.ContextVar("shared_calls", default=())


def is_inside(shared: SharedCall) -> bool:
    """Whether we are part of that very call: to wait for it would be to wait for ever."""
    return shared in _inside.get()


class SharedCalls:
    """The shared calls that are under way, and the tasks that work for nobody in particular."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._homes: dict[Home, dict[Key, SharedCall]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        with self._lock:
            return sum(map(len, self._homes.values()))

    def find(self, home: Home, key: Key) -> SharedCall | None:
        """The call with that key that is under way there."""
        with self._lock:
            return self._homes.get(home, {}).get(key)

    def join(self, key: Key) -> tuple[SharedCall, bool]:
        """For plain threads: the call under way, or a new one that this thread has to :meth:`run` (true)."""
        with self._lock:
            calls = self._homes.setdefault(None, {})
            shared = calls.get(key)
            if shared is not None:
                return shared, False
            shared = calls[key] = SharedCall(None, key)
            deadline = current()
            shared.expires_at = None if deadline is None else deadline.expires_at
            return shared, True

    def run(self, shared: SharedCall, work: Callable[[], Any]) -> None:
        """Make a call that plain threads wait for. What it gives or raises is in ``shared``."""
        token = _inside.set((*_inside.get(), shared))
        try:
            shared.returned(work())
        except Exception as error:  # noqa: BLE001 - raised by each of those who wait
            shared.failed(error)
        finally:
            _inside.reset(token)
            self._end(shared)
            del shared  # an error has this frame, at the back of those in its traceback, and the call has the error: no circle

    @staticmethod
    def wait_sync(shared: SharedCall, clock: Clock, seconds: float | None) -> None:
        """Hold the thread until a call has ended.

        Raises:
            NotInTime: it took longer than ``seconds``.
        """
        if not clock.wait(shared.ended, seconds):
            raise NotInTime

    def start(self, key: Key, work: Callable[[Claim], Coroutine[Any, Any, Any]], *, wanted: bool) -> SharedCall:
        """Start a call in a task of its own, without the caller's deadline and without its cache scope.

        Args:
            key: under which it is found until it ends.
            work: the call.
            wanted: whether it goes on when nobody waits for it.
        """
        home = asyncio.get_running_loop()
        shared = SharedCall(home, key)
        shared.wanted = wanted
        context = _context_of_its_own()
        context.run(_inside.set, (*_inside.get(), shared))
        task = shared.task = self._spawn(self._run(shared, work), context)
        task.add_done_callback(lambda _: self._end(shared))  # a task that is cancelled before its first step runs nothing
        with self._lock:
            for closed in [each for each in self._homes if each is not None and each.is_closed()]:
                del self._homes[closed]
                self._tasks = {each for each in self._tasks if each.get_loop() is not closed}
            self._homes.setdefault(home, {})[key] = shared
        return shared

    async def _run(self, shared: SharedCall, work: Callable[[Claim], Coroutine[Any, Any, Any]]) -> None:
        try:
            shared.returned(await work(shared.claim))
        except Exception as error:  # noqa: BLE001 - raised by each of those who wait
            shared.failed(error)
        except BaseException as error:
            shared.abandoned = error
            raise
        finally:
            self._end(shared)
            del shared  # no circle here either

    async def wait(self, shared: SharedCall, seconds: float | None) -> None:
        """Wait until a call has ended.

        Raises:
            NotInTime: it took longer than ``seconds``.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        shared.waiters[waiter] = None
        timer = None
        try:
            if seconds is not None:
                timer = loop.call_later(seconds, _wake, waiter)
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            shared.waiters.pop(waiter, None)
            if not shared.waiters and not shared.wanted:
                self._leave(shared)
        if not shared.ended.is_set():
            raise NotInTime

    def _leave(self, shared: SharedCall) -> None:
        """Nobody wants it any more. Whoever comes now starts another one, if it has not ended by itself."""
        shared.claim.superseded = True
        self._remove(shared)
        if shared.task is not None and not shared.task.get_loop().is_closed():
            shared.task.cancel()

    def _end(self, shared: SharedCall) -> None:
        self._remove(shared)
        shared.ended.set()
        shared.task = None  # its context knows this call
        for waiter in shared.waiters:
            _wake(waiter)

    def _remove(self, shared: SharedCall) -> None:
        with self._lock:
            calls = self._homes.get(shared.home, {})
            if calls.get(shared.claim.key) is shared:
                del calls[shared.claim.key]
            if not calls:
                self._homes.pop(shared.home, None)

    def supersede(self, key: Key) -> None:
        """What is under way with that key is out of date: it is not kept, and nobody joins it any more."""
        with self._lock:
            for calls in self._homes.values():
                shared = calls.pop(key, None)
                if shared is not None:
                    shared.claim.superseded = True

    def supersede_all(self) -> None:
        """The same for all keys."""
        with self._lock:
            for calls in self._homes.values():
                for shared in calls.values():
                    shared.claim.superseded = True
            self._homes.clear()

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something be done for which nobody waits. It must not raise."""
        self._spawn(work, _context_of_its_own())

    def _spawn(self, work: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        # The loop itself keeps only weak references: a task that nobody holds may vanish in the middle of its work.
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nothing is logged when the task is collected; who waits has it already


def _context_of_its_own() -> contextvars.Context:
    context = without_deadline()
    context.run(leave_scope)
    return context


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
