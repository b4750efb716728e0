"""One attempt under a time limit: the innermost step of every chain."""

import asyncio
import functools
import inspect
import math
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, Protocol

from sengol_api.resilience.deadline import current
from sengol_api.resilience.errors import DeadlineExceeded, TimedOut
from sengol_api.resilience.expiry import Expiry
from sengol_api.resilience.policy import AsyncCall, Site, refused


class Limited(Protocol):
    """Who limits an attempt: a policy, or nobody but the deadline."""

    @property
    def limit(self) -> float:
        """Seconds; infinity for no limit."""
        ...

    def cut(self, limit: float, *, by_deadline: bool) -> None:
        """An attempt that had ``limit`` seconds was cut."""
        ...


class DeadlineOnly:
    """Nobody limits the attempt but the caller's deadline."""

    limit = math.inf

    def cut(self, limit: float, *, by_deadline: bool) -> None:
        """Nothing to count."""


def bounded(inner: AsyncCall, owner: Limited, site: Site) -> AsyncCall:
    """``inner`` under the owner's limit and the caller's deadline, whichever ends first.

    The first step of the work is taken by hand. Work that ends in it never waited, so nothing could have cut it, and no timer is
    needed: an answer from a cache or a rejection costs no timer. Work that waits gets one for what is left of its limit.

    The chain raises:
        DeadlineExceeded: the deadline had passed before the start.
        TimedOut: the work was cut.
    """
    now = site.clock.now
    begin = _begin if inner is start else functools.partial(begin_link, inner)

    async def call(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        limit = owner.limit
        ends_it = None  # the deadline, when it ends before the limit
        deadline = current()
        if deadline is not None:
            limit, by_deadline = shorter(limit, deadline.remaining(), site)
            ends_it = deadline if by_deadline else None
        started = now()
        result: list[Any] = [None]
        work = begin(result, function, args, kwargs)
        waiting = next(work, ENDED)
        if waiting is ENDED:
            return result[0]
        if limit == math.inf:
            await resumed(work, waiting)
            return result[0]
        try:
            expiry = Expiry(limit - (now() - started))
        except RuntimeError:  # no task that could be cancelled
            work.close()
            raise
        try:
            await resumed(work, waiting)
        except asyncio.CancelledError as error:
            if not expiry.claim():
                raise
            owner.cut(limit, by_deadline=ends_it is not None)
            hurried = ends_it is not None and limit < ends_it.total / 2
            raise TimedOut(site.pipeline, site.policy, limit, by_deadline=ends_it is not None, hurried=hurried) from error
        finally:
            expiry.disarm()
        return result[0]

    return call


def shorter(limit: float, left: float, site: Site) -> tuple[float, bool]:
    """The limit of an attempt of which the deadline leaves so much, and whether it is the deadline's.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    if left <= 0:
        raise refused(site, DeadlineExceeded(site.pipeline, site.policy))
    return (left, True) if left < limit else (limit, False)


# The work leaves its result in a list of one, and its generator ends with nothing. So ``next`` with a default can take the first
# step, and tell an end from a wait, without an exception: a StopIteration that is raised and caught costs more than a whole policy.
ENDED = object()
"""What the first step of work that did not have to wait gives."""

_COROUTINE = types.CoroutineType


@types.coroutine
def _begin(
    result: list[Any], function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, None]:
    try:
        work: Any = function(*args, **kwargs)
    except TypeError:
        _see_that_it_is_callable(function)
        raise
    if type(work) is not _COROUTINE:
        work = _awaited(function, work)
    result[0] = yield from work


@types.coroutine
def begin_link(
    inner: AsyncCall, result: list[Any], function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, None]:
    """Work behind another link of the chain, with its result in ``result[0]``: ``next(work, ENDED)`` takes its first step."""
    work: Any = inner(function, args, kwargs)
    result[0] = yield from work


@types.coroutine
def resumed(work: Generator[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    """Go on with work that has already yielded what it waits for."""
    while waiting is not ENDED:
        try:
            yield waiting
        except BaseException as error:  # noqa: BLE001 - handed on to the work, as await does
            waiting = ENDED
            with suppress(StopIteration):
                waiting = work.throw(error)
        else:
            yield from work
            waiting = ENDED


def start(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """The end of every chain: call the function, and see that what it gives can be awaited."""
    try:
        work = function(*args, **kwargs)
    except TypeError:
        _see_that_it_is_callable(function)
        raise
    return work if type(work) is _COROUTINE else _awaited(function, work)


def start_sync(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The end of every chain of plain functions."""
    try:
        result = function(*args, **kwargs)
    except TypeError:
        _see_that_it_is_callable(function)
        raise
    if type(result) is _COROUTINE:
        result.close()
        raise _misused(function, "is a coroutine function", "await call() instead of call_sync()")
    return result


async def _wait_for(work: Awaitable[Any]) -> Any:
    return await work


def _awaited(function: Callable[..., Any], work: Any) -> Coroutine[Any, Any, Any]:
    if inspect.isawaitable(work):
        return _wait_for(work)
    what = f"gave a value of type {type(work).__name__}, which cannot be awaited"
    raise _misused(function, what, "call_sync() is for plain functions")


def _misused(function: Callable[..., Any], what: str, instead: str) -> TypeError:
    return TypeError(f"{name_of(function)} {what}: {instead}")


def _see_that_it_is_callable(function: Any) -> None:
    """A common slip: ``call(query(vector))``, where ``call(query, vector)`` is meant."""
    if callable(function):
        return
    if inspect.iscoroutine(function):
        function.close()
    raise TypeError(f"{function!r} cannot be called: give the function and its arguments apart, as call(query, vector)") from None


def name_of(function: Callable[..., Any]) -> str:
    """What to call a function in a message; a partial, or an object that can be called, has no name."""
    name: str = getattr(function, "__qualname__", "")
    return name or repr(function)
