"""One sampler for all who look: it works while somebody does, and gives each the newest sample."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Final, Generic, TypeVar

T = TypeVar("T")
EVERY: Final = 2.0
"""Seconds between the beginnings of two samples."""
MOST: Final = 64
"""Viewers of one worker."""
MOST_OF_ONE: Final = 16
"""Viewers of one household: a stranger must not take all places from those on call."""
_log = logging.getLogger(__name__)


class NoPlaceError(Exception):
    """As many look on as there are places for."""


class Sampler(Generic[T]):
    """Takes samples while there are viewers.

    There is no queue: who is slow finds the newest sample when it comes back, and never an older one.

    Args:
        take: makes a sample. When it raises, that is logged, and the next one is made in its time.
        every: seconds between the beginnings of two samples.
        most: viewers in all.
        most_of_one: viewers of one household.
    """

    def __init__(
        self, take: Callable[[], Awaitable[T]], *, every: float = EVERY, most: int = MOST, most_of_one: int = MOST_OF_ONE
    ) -> None:
        self._take = take
        self._every = every
        self._most = most
        self._most_of_one = most_of_one
        self._viewers: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._number = 0
        self._latest: T | None = None

    @property
    def viewers(self) -> int:
        """How many look."""
        return self._viewers.total()

    @property
    def working(self) -> bool:
        """Whether samples are taken."""
        return self._task is not None

    @contextmanager
    def watch(self, household: str) -> "Iterator[Viewer[T]]":
        """Look while the block runs.

        Args:
            household: whose viewer it is.

        Raises:
            NoPlaceError: too many look already, in all or of this household.
        """
        if self.viewers >= self._most or self._viewers[household] >= self._most_of_one:
            raise NoPlaceError
        self._viewers[household] += 1
        if self._task is None:
            # A context of its own: what it logs belongs to no viewer's request.
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sampler of the status page", context=Context())
        try:
            yield Viewer(self)
        finally:
            self._viewers[household] -= 1
            self._viewers += Counter()  # households without a viewer are forgotten
            if not self.viewers:
                self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._latest = None  # who comes later is not shown how it was then

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        failed = False
        while True:
            began = loop.time()
            try:
                sample = await self._take()
            except Exception:  # noqa: BLE001 - logged; the next sample may be better
                if not failed:
                    _log.exception("the status of the host cannot be had")
                failed = True
            else:
                failed = False
                self._latest = sample
                self._number += 1
                self._news.set()
                self._news = asyncio.Event()
            await asyncio.sleep(max(0.0, began + self._every - loop.time()))

    async def newer_than(self, number: int) -> tuple[int, T]:
        """The newest sample, as soon as there is one after this number."""
        while self._number <= number or self._latest is None:
            await self._news.wait()
        return self._number, self._latest


class Viewer(Generic[T]):
    """One who looks."""

    def __init__(self, sampler: Sampler[T]) -> None:
        self._sampler = sampler
        self._seen = -1

    async def next(self, patience: float) -> T | None:
        """The newest sample that was not seen yet; None when there is none within ``patience`` seconds."""
        try:
            async with asyncio.timeout(patience):
                self._seen, sample = await self._sampler.newer_than(self._seen)
        except TimeoutError:
            return None
        return sample
