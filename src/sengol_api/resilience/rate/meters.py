"""One rate limit for each key, in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from sengol_api.resilience.rate.gcra import Decision, Gcra, Tat

_SWEPT = 2  # keys looked at for each call: more than one, so that the sweep outruns new keys
_SAMPLED = 16  # keys of which the least used one is forgotten when there is no room


class Meters:
    """The past of each key that has one.

    A key whose burst is full again has no past: each call looks at two of the others in turn and forgets such ones. When
    ``max_keys`` have a past, a new one takes the place of the key, of a few in turn, that has the least to forget. So the
    keys of a flood, each used once, push out one another, and a key near its limit stays where it is.

    Args:
        max_keys: bound on the keys that are remembered.
    """

    def __init__(self, max_keys: int) -> None:
        self._lock = threading.Lock()
        self._tats: OrderedDict[Hashable, Tat] = OrderedDict()
        self.max_keys = max_keys

    def __len__(self) -> int:
        return len(self._tats)

    def take(
        self, gcra: Gcra, key: Hashable, now: float, cost: float, max_wait: float = 0.0
    ) -> tuple[Decision, tuple[Tat | None, Tat | None]]:
        """Decide on a call with this key.

        Returns:
            the decision, and the past before and after it: what :meth:`withdraw` needs.
        """
        with self._lock:
            before = self._tats.get(key)
            after, decision = gcra.take(before, now, cost, max_wait)
            if after is not None and after is not before:
                self._keep(key, after, now)
            return decision, (before, after)

    def adjust(self, gcra: Gcra, key: Hashable, now: float, cost: float) -> None:
        """Charge (above 0) or give back (below 0) units."""
        with self._lock:
            self._put(key, gcra.adjust(self._tats.get(key), now, cost), now)

    def follow(self, gcra: Gcra, key: Hashable, now: float, reset_after: float) -> None:
        """Take over what somebody who knows more says of a key: the seconds until its burst is full again."""
        with self._lock:
            self._put(key, Tat(now + reset_after, now, gcra.interval) if reset_after > 0 else None, now)

    def withdraw(self, gcra: Gcra, key: Hashable, now: float, cost: float, turn: tuple[Tat | None, Tat | None]) -> None:
        """Give back the turn of a call that will not go.

        If nobody came after it, all is as before it. Otherwise those behind it keep their turns, and what can be given back
        without a second call in any of these is.
        """
        before, after = turn
        with self._lock:
            now_kept = self._tats.get(key)
            self._put(key, before if now_kept is after else gcra.adjust(now_kept, now, -cost), now)

    def _put(self, key: Hashable, tat: Tat | None, now: float) -> None:
        if tat is None:
            self._tats.pop(key, None)
        else:
            self._keep(key, tat, now)

    def _keep(self, key: Hashable, tat: Tat, now: float) -> None:
        tats = self._tats
        if key not in tats and len(tats) >= self.max_keys:
            self._make_room(now)
        tats[key] = tat
        for _ in range(min(_SWEPT, len(tats))):
            first = next(iter(tats))
            if tats[first].at <= now:
                del tats[first]
            else:
                tats.move_to_end(first)

    def _make_room(self, now: float) -> None:
        tats = self._tats
        while len(tats) >= self.max_keys:
            sample = []
            for _ in range(min(_SAMPLED, len(tats))):
                first = next(iter(tats))
                tats.move_to_end(first)
                sample.append(first)
            del tats[min(sample, key=lambda key: (tats[key].at - now) / tats[key].interval)]
