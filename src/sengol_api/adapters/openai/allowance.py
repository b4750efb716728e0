"""What is left of a provider's limits, by what its ``x-ratelimit-*`` headers told last. Numbers in, numbers out."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

from sengol_api.adapters.openai.hints import go_duration

DIMENSIONS: Final = ("requests", "tokens")
_FORGET = 300.0  # seconds after which nothing that was told counts any more
_USUAL = 60.0  # seconds that limits are for, as a rule: to fill by while nothing was used, so that nothing is known
_SHORTEST = 1e-3  # seconds for a whole limit to come back, at least


class Told(NamedTuple):
    """What one answer tells of one limit.

    Attributes:
        limit: units when nothing is used.
        remaining: units that are left.
        reset: seconds until nothing is used.
    """

    limit: float
    remaining: float
    reset: float


def told_by(headers: Mapping[str, str], dimension: str) -> Told | None:
    """What the headers of an answer tell; None when they do not, or make no sense (some servers send -1)."""
    said = headers.get(f"x-ratelimit-limit-{dimension}")
    if said is None:
        return None
    try:
        limit = float(said)
        remaining = float(headers.get(f"x-ratelimit-remaining-{dimension}", ""))
    except ValueError:
        return None
    reset = go_duration(headers.get(f"x-ratelimit-reset-{dimension}", ""))
    if reset is None or not 0 < limit < 1e15 or not 0 <= remaining <= limit:
        return None
    return Told(limit, remaining, min(reset, _FORGET))


class Allowance:
    """One limit of a provider, as a token bucket that fills evenly.

    A level below zero is owed to those who have a turn and wait for it. OpenAI's limits fill evenly; one that comes back all at
    once, at the reset, is met as well: nobody waits for longer than that.
    """

    __slots__ = ("_filled_at", "_full_at", "_level", "_limit", "_rate", "_told_at")

    def __init__(self) -> None:
        self._limit = self._level = self._rate = 0.0
        self._told_at = self._filled_at = self._full_at = -math.inf

    def learn(self, told: Told, not_counted: float, now: float) -> None:
        """Take what an answer tells.

        Args:
            told: by it.
            not_counted: units of requests that its provider may not have seen then, and of those who wait for their turn.
            now: monotonic seconds.
        """
        used = told.limit - told.remaining
        if used >= 1:
            self._rate = used / max(told.reset, _SHORTEST)
        elif not self._known(now):
            self._rate = told.limit / _USUAL
        self._limit = told.limit
        self._level = told.remaining - not_counted
        self._told_at = self._filled_at = now
        self._full_at = now + told.reset

    def take(self, units: float, now: float) -> float:
        """Take units, and say how many seconds it takes until they are there; 0 when they are, or nothing is known."""
        if not self._known(now):
            return 0.0
        self._fill(now)
        self._level -= min(units, self._limit)
        if self._level >= 0:
            return 0.0
        wait = -self._level / self._rate
        return min(wait, self._full_at - now) if self._full_at > now and -self._level <= self._limit else wait

    def give_back(self, units: float, now: float) -> None:
        """Units that were taken and not used."""
        if self._known(now):
            self._fill(now)
            self._level = min(self._limit, self._level + min(units, self._limit))

    def left(self, now: float) -> float | None:
        """Units that are left; None when nothing is known."""
        if not self._known(now):
            return None
        self._fill(now)
        return max(0.0, self._level)

    def _known(self, now: float) -> bool:
        return now - self._told_at <= _FORGET

    def _fill(self, now: float) -> None:
        self._level = min(self._limit, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
