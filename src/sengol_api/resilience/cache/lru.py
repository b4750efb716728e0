"""The entries of a cache: least recently used out first, by number and by bytes."""

import heapq
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from sengol_api.resilience.cache.keys import Key


class Entry:
    """A value that is kept. Nothing of it ever changes, so it is read without a lock.

    Attributes:
        held: the value, or what a copy is made from.
        thaw: makes the copy that is handed out; None when ``held`` is handed out itself.
        size: bytes.
        stored_at: when its value was made, in monotonic seconds, as all the times here.
        sure_until: until then it is fresh, and nobody has to think about an early refresh.
        fresh_until: the end of its time to live.
        gone_at: the end of its last stale window: of no use from then on.
        took: seconds that it took to make.
        serial: among all that were put in.
    """

    __slots__ = ("fresh_until", "gone_at", "held", "serial", "size", "stored_at", "sure_until", "thaw", "took")

    def __init__(
        self,
        held: Any,
        thaw: Callable[[Any], Any] | None = None,
        *,
        size: int,
        stored_at: float,
        fresh_until: float,
        sure_until: float,
        gone_at: float,
        took: float,
    ) -> None:
        self.held = held
        self.thaw = thaw
        self.size = size
        self.stored_at = stored_at
        self.sure_until = sure_until
        self.fresh_until = fresh_until
        self.gone_at = gone_at
        self.took = took
        self.serial = 0

    def value(self) -> Any:
        """What to hand out."""
        return self.held if self.thaw is None else self.thaw(self.held)


class Entries:
    """The entries, in the order of their last use.

    :attr:`find` and :attr:`touch` take no lock: each is one call into C, and a canonical key is compared without a line of Python,
    so that no other thread can come between. (An :class:`~collections.OrderedDict` and not a dict with its entries taken out and
    put back: that would be two steps, with a moment between in which the entry is not there; and the first key of a dict is slow
    to find once many have been deleted at its front.) All that adds or removes does so with the lock held.

    What has ended is removed when entries come in: a heap tells the next one to end, so each costs the logarithm of their number.
    It has serials alone. Most in it may be of entries that have gone, and with those themselves it would keep several times
    what the bounds allow.

    Args:
        max_entries: how many there may be.
        max_bytes: how large they may be together; None for any size.
    """

    def __init__(self, max_entries: int, max_bytes: int | None) -> None:
        self._lock = threading.Lock()
        self._by_key: OrderedDict[Key, Entry] = OrderedDict()
        self._ends: list[tuple[float, int]] = []
        self._keys: dict[int, Key] = {}
        self._serial = itertools.count()
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0
        self.find = self._by_key.get
        self.touch = self._by_key.move_to_end
        """Make an entry the last used one; KeyError when it has gone."""

    def __len__(self) -> int:
        return len(self._by_key)

    def keys(self) -> list[Key]:
        """All keys, the least recently used first."""
        with self._lock:
            return list(self._by_key)

    def fits(self, size: int) -> bool:
        """Whether an entry of that size can be kept at all."""
        return self.max_bytes is None or size <= self.max_bytes

    def put(self, key: Key, entry: Entry) -> list[tuple[Key, Entry]]:
        """Keep an entry as the last used one, in the place of one with the same key.

        Returns:
            those that had to go for it, the least recently used first.
        """
        with self._lock:
            self._remove(key)
            entry.serial = next(self._serial)
            self._by_key[key] = entry
            self._keys[entry.serial] = key
            self.bytes += entry.size
            heapq.heappush(self._ends, (entry.gone_at, entry.serial))
            if len(self._ends) > 2 * len(self._by_key) + 64:
                # Most belong to entries that have gone; dropping them costs what putting them in did.
                self._ends = [each for each in self._ends if each[1] in self._keys]
                heapq.heapify(self._ends)
            return self._shrink()

    def resize(self, max_entries: int, max_bytes: int | None) -> list[tuple[Key, Entry]]:
        """Change the bounds. Gives back those that had to go."""
        with self._lock:
            self.max_entries, self.max_bytes = max_entries, max_bytes
            return self._shrink()

    def _shrink(self) -> list[tuple[Key, Entry]]:
        gone = []
        while len(self._by_key) > self.max_entries or not self.fits(self.bytes):
            key, entry = self._by_key.popitem(last=False)
            del self._keys[entry.serial]
            self.bytes -= entry.size
            gone.append((key, entry))
        return gone

    def _remove(self, key: Key) -> bool:
        entry = self._by_key.pop(key, None)
        if entry is None:
            return False
        del self._keys[entry.serial]
        self.bytes -= entry.size
        return True

    def remove(self, key: Key) -> bool:
        """Drop an entry; whether there was one."""
        with self._lock:
            return self._remove(key)

    def clear(self) -> None:
        """Drop all."""
        with self._lock:
            self._by_key.clear()
            self._keys.clear()
            self._ends.clear()
            self.bytes = 0

    def purge(self, now: float) -> int:
        """Drop the entries that have ended; how many they were."""
        dropped = 0
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                _, serial = heapq.heappop(self._ends)
                if serial in self._keys:
                    self._remove(self._keys[serial])
                    dropped += 1
        return dropped
