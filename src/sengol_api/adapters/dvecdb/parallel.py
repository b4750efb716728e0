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

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(most, len(works))):
                group.create_task(worker())
    except ExceptionGroup as many:
        raise many.exceptions[0] from None
    return [results[place] for place in range(len(works))]
