"""The arithmetic of a rate limit: numbers in, numbers out; no clock, no lock.

The generic cell rate algorithm in its virtual scheduling form: ATM Forum, Traffic Management Specification 4.0 (af-tm-0056.000,
1996), 4.4.3; also ITU-T I.371. One number says all of the past: the theoretical arrival time (TAT), when all that was let through
would have come if it had come evenly. A call conforms when it does not come earlier than its burst allows before that time.
"""

from dataclasses import dataclass
from typing import NamedTuple

_ROUNDING = 0.001  # of one unit: far more than sums of floats lose, far less than anybody could use


class Decision(NamedTuple):
    """What a rate limit says to one call.

    Attributes:
        allowed: whether it may go, at once or after ``wait``.
        remaining: units that further calls could take at this moment.
        retry_after: seconds after which a call of the same cost can go at once, if nobody else comes; 0 when this one may, None
            when its cost is above the burst and it never can.
        reset_after: seconds after which the whole burst is there again, if nobody else comes.
        wait: seconds until its turn, which is reserved; 0 unless it was allowed to wait.
    """

    allowed: bool
    remaining: float
    retry_after: float | None
    reset_after: float
    wait: float = 0.0


class Tat(NamedTuple):
    """The past of one key.

    Attributes:
        at: the theoretical arrival time, monotonic seconds.
        floor: how far a refund may lower it: the TAT of the calls that wait for a reserved turn, as if nothing had been before
            them. They will take these turns, whatever is given back.
        interval: seconds per unit that the two were reckoned with.
    """

    at: float
    floor: float
    interval: float


@dataclass(frozen=True, slots=True)
class Gcra:
    """One unit each ``interval`` on average, up to ``burst`` units at once.

    In any time ``t`` it lets through at most ``burst + t / interval`` units. A cost is weighed as so many units.

    Args:
        interval: seconds per unit (T, the emission interval).
        burst: units that may come at once (the tolerance is one unit less: τ = (burst - 1) × T).
    """

    interval: float
    burst: float

    def take(self, tat: Tat | None, now: float, cost: float = 1.0, max_wait: float = 0.0) -> tuple[Tat | None, Decision]:
        """Decide on a call.

        Args:
            tat: the past; None for none, which is a full burst.
            now: monotonic seconds.
            cost: units; 0 asks without taking.
            max_wait: seconds that the call would wait for its turn.

        Returns:
            the new past (the very same object when the call may not go), and the decision.
        """
        span = self.burst * self.interval
        before = self._scaled(tat, now)
        after = max(before.at, now) + cost * self.interval
        wait = after - span - now
        rounding = _ROUNDING * self.interval
        if wait <= rounding:
            wait = 0.0
        if wait > max_wait + rounding or cost > self.burst:
            retry_after = None if cost > self.burst else wait
            return tat, Decision(False, self._remaining(before.at, now), retry_after, max(0.0, before.at - now))  # noqa: FBT003 - a field
        floor = before.floor
        if wait > 0.0 or floor > now:
            floor = max(floor, now + wait) + cost * self.interval
        return Tat(after, floor, self.interval), Decision(True, self._remaining(after, now), 0.0, after - now, wait)  # noqa: FBT003

    def adjust(self, tat: Tat | None, now: float, cost: float) -> Tat | None:
        """Settle a cost that turned out different.

        Args:
            tat: the past.
            now: monotonic seconds.
            cost: units to charge, also above the burst: later calls then wait until they are paid. Below 0, units to give back, as
                far as that lets nobody through together with those who hold a turn.

        Returns:
            the new past; None when the burst is full again.
        """
        before = self._scaled(tat, now)
        if cost >= 0:
            return Tat(max(before.at, now) + cost * self.interval, before.floor, self.interval)
        after = max(before.at + cost * self.interval, before.floor)
        return Tat(after, before.floor, self.interval) if after > now else None

    def _scaled(self, tat: Tat | None, now: float) -> Tat:
        """The past in units of the present interval: what was owed is owed after a change of the rate, in units, not in time."""
        if tat is None:
            return Tat(now, now, self.interval)
        if tat.interval == self.interval:
            return tat
        scale = self.interval / tat.interval
        return Tat(now + (tat.at - now) * scale, now + (tat.floor - now) * scale, self.interval)

    def _remaining(self, at: float, now: float) -> float:
        remaining = self.burst - max(0.0, at - now) / self.interval
        return max(0.0, min(self.burst, remaining))
