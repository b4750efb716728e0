"""Who has had his share of something of which there is not enough for all."""

from collections.abc import Callable, Hashable
from typing import Final

WINDOW: Final = 5.0
"""Seconds in which all who ask shall get as much."""
MOST: Final = 10_000
"""Of those who ask within a window: beyond them a new one begins early."""


class FairShares:
    """Counts what each one gets, and says whether he has had more than one beyond the mean of all who ask.

    Who has is to stand behind those who have not, and takes what they leave: so shares are nearly equal among those who want them,
    and nothing is kept for one who does not ask (max-min fairness: J. Jaffe, "Bottleneck Flow Control", IEEE Transactions on
    Communications 29(7), 1981). For one thread.

    Args:
        now: monotonic seconds.
        window: seconds after which all is forgotten.
    """

    def __init__(self, now: Callable[[], float], window: float = WINDOW) -> None:
        self._now = now
        self._window = window
        self._ends = float("-inf")
        self._given: dict[Hashable, int] = {}
        self._total = 0

    def due(self, who: Hashable) -> bool:
        """Note that somebody asks, and say whether it is his turn before those who have had their share.

        Args:
            who: asks.
        """
        if self._now() >= self._ends or (len(self._given) >= MOST and who not in self._given):
            self._ends = self._now() + self._window
            self._given.clear()
            self._total = 0
        return (self._given.setdefault(who, 0) - 1) * len(self._given) <= self._total

    def took(self, who: Hashable) -> None:
        """Note that somebody who asked has got something."""
        self._given[who] = self._given.get(who, 0) + 1
        self._total += 1
