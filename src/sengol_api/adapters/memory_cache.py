"""A small cache of finished results: least recently used out first, each for a limited time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class MemoryCache:
    """The ``ResultCache`` in memory.

    Args:
        max_entries: so many are kept.
        ttl: seconds that each is good for.
        clock: monotonic seconds.
    """

    def __init__(self, *, max_entries: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max = max_entries
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, object]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> object | None:
        """See the port."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry[0] <= self._clock():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def put(self, key: str, value: object) -> None:
        """See the port."""
        with self._lock:
            self._entries[key] = (self._clock() + self._ttl, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max:
                self._entries.popitem(last=False)
