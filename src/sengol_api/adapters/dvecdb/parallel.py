"""Several pieces of work at once, not too many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def in_parallel(works: Sequence[Callable[[], Awaitable[T]]], most: int) -> list[T]:
    """The results of all, in their order; the first that raises ends the others.

    Args:
        works: to be called.
        most: so many run at once.
    """
    if len(works) == 1:
        return [await works[0]()]
    results: dict[int, T] = {}
    waiting = iter(enumerate(works))

    async def worker() -> None:
        for place, work in waiting:
            results[place] = await work()

    failed: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(most, len(works))):
                group.create_task(worker())
    except ExceptionGroup as many:
        failed = many.exceptions[0]
        many.__traceback__ = None  # it has the frame of the group of tasks, and that has it: no circle
    if failed is not None:
        try:
            raise failed
        finally:
            del failed  # nor here: it has this frame
    return [results[place] for place in range(len(works))]
