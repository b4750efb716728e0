"""Counting from any thread without a lock."""

import itertools
import threading


class Counter:
    """A number that many threads raise and a few read.

    :attr:`add` is the bound ``__next__`` of an :class:`itertools.count`: one call into C, which no other thread can interrupt, at
    about a third of the price of a lock. Reading takes a number as well, so the reads are counted and taken off.
    """

    __slots__ = ("_lock", "_reads", "add")

    def __init__(self) -> None:
        self.add = itertools.count().__next__
        self._reads = 0
        self._lock = threading.Lock()

    @property
    def value(self) -> int:
        """How often :attr:`add` was called."""
        with self._lock:
            value = self.add() - self._reads
            self._reads += 1
            return value
