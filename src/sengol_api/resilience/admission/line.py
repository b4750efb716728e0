"""Places for calls, and a line of priorities before them. The engine of the admission."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable

from sengol_api.resilience.admission.codel import ControlledDelay
from sengol_api.resilience.admission.drain import DrainRate
from sengol_api.resilience.clock import Clock
from sengol_api.resilience.priority import Priority
from sengol_api.resilience.waiters import LoopWaiter, ThreadWaiter, Waiter

PASSED_OVER = 16
"""Places handed out over the head of a class that waits before it gets one: at least every 17th, whatever comes above it."""


class Turned(Exception):
    """Turned away.

    Attributes:
        why: ``full``, ``crowded``, ``displaced``, ``overtaken``, ``waited`` or ``deadline``.
        retry_after: seconds in which the line before it will have moved on; None when nothing is known yet.
    """

    def __init__(self, why: str, retry_after: float | None) -> None:
        self.why = why
        self.retry_after = retry_after


class _Place:
    """Somebody's place in line."""

    __slots__ = ("expires", "level", "lost", "waiter")

    def __init__(self, waiter: Waiter, level: Priority, expires: float) -> None:
        self.waiter = waiter
        self.level = level
        self.expires = expires
        self.lost: str | None = None  # why it was taken out of the line, if it was


class Line:
    """Hands places to calls by priority, and keeps the delay of the line in bounds.

    The rules, in short:

    * The highest class goes first; but a class over which :data:`PASSED_OVER` places went gets the next.
    * Within a class, the first goes first; in a standing line, the newest. For a class the line is what stands before it: those of
      the class and of higher ones. So a crowd of batch calls shortens the patience of no interactive one.
    * In a standing line, who has more newer ones before him than would get their turn in twice the time that he may wait has none
      coming: he is told at once.
    * When the line is full, a call takes the place of one of a lower class, the lowest first. A class without anybody in line takes
      one of the most crowded class. The last one in line of a class is safe from both. So no class is kept out for ever.

    Args:
        limit: calls at once.
        longest: places in line.
        control: says what a standing line is.
        now: monotonic seconds.
    """

    def __init__(self, limit: int, longest: int, control: ControlledDelay, now: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._lines: dict[Priority, OrderedDict[_Place, None]] = {level: OrderedDict() for level in sorted(Priority, reverse=True)}
        self._passed = dict.fromkeys(Priority, 0)
        self._drain = DrainRate()
        self._controls = {level: ControlledDelay(control.target, control.interval) for level in self._lines}
        self._whole = self._controls[min(Priority)]  # before the lowest class stand all
        self._longest = longest
        self.limit = limit
        self.running = 0
        self.waiting = 0

    @property
    def standing(self) -> bool:
        """Whether there is an overload: the line has not been empty for an interval."""
        return self._whole.standing(self._now())

    def queued(self) -> dict[Priority, int]:
        """Who waits, by class."""
        with self._lock:
            return {level: len(line) for level, line in self._lines.items()}

    @property
    def free(self) -> bool:
        """Whether who comes now gets a place at once."""
        return self.running < self.limit and not self.waiting

    def crowded(self, level: Priority) -> bool:
        """Whether a standing line has more before one more of a class than get their turn in the time that he may wait.

        One more, because the time between two places is a mean: the next ones may come sooner, and would be left. He could still
        join, as the newest, and would take the turn of one who is there already. In a line that is far longer, from before the
        overload, he should do that.
        """
        with self._lock:
            turns = self._turns(level)
            if turns is None or not self._controls[level].standing(self._now()):
                return False
            overtaken = len(self._lines[level]) - 1 > int(2 * turns)
            return self._ahead(level, standing=False) > int(turns) and not overtaken

    def shed(self, level: Priority) -> Turned:
        """Turn away somebody who has not joined."""
        with self._lock:
            for each, control in self._controls.items():
                if each <= level:
                    control.shed(self._now())
            return Turned("crowded", self.retry_after)

    def enter(self) -> bool:
        """Take a place, if one is free and nobody waits for it."""
        with self._lock:
            free = self.free
            self.running += free
            return free

    def release(self) -> None:
        """Give a place back."""
        with self._lock:
            self.running -= 1
        if self.waiting:
            self._settle()

    def resize(self, limit: int, longest: int | None = None, target: float | None = None, interval: float | None = None) -> None:
        """Change the bounds. Those who hold a place keep it, and those in line as well."""
        with self._lock:
            self.limit = limit
            self._longest = self._longest if longest is None else longest
            for control in self._controls.values():
                control.target = control.target if target is None else target
                control.interval = control.interval if interval is None else interval
        self._settle()

    async def wait(self, level: Priority, left: float | None) -> None:
        """Wait in line for a place.

        Args:
            level: its class.
            left: seconds until its deadline.

        Raises:
            Turned: it gets none.
        """
        waiter = LoopWaiter()
        place, seconds = self._join(waiter, level, left)
        try:
            timer = asyncio.get_running_loop().call_later(seconds, waiter.wake)
            try:
                await waiter.woken
            finally:
                timer.cancel()
        except BaseException:
            if self._leave(place):
                self.release()
            raise
        self._admitted(place, left, seconds)

    def wait_sync(self, level: Priority, left: float | None, clock: Clock) -> None:
        """The same for a plain thread."""
        waiter = ThreadWaiter()
        place, seconds = self._join(waiter, level, left)
        try:
            clock.wait(waiter.woken, seconds)
        except BaseException:
            if self._leave(place):
                self.release()
            raise
        self._admitted(place, left, seconds)

    def _admitted(self, place: _Place, left: float | None, seconds: float) -> None:
        if not self._leave(place):
            why = place.lost or ("deadline" if left is not None and left <= seconds else "waited")
            raise Turned(why, self.retry_after)

    @property
    def retry_after(self) -> float | None:
        """Seconds in which all who wait now will have gone; while the line stands, not less than the time it takes to tell."""
        seconds = self._drain.seconds_for(self.waiting + 1)
        return max(self._whole.interval, seconds or 0.0) if self.standing else seconds

    # Joining and leaving

    def _join(self, waiter: Waiter, level: Priority, left: float | None) -> tuple[_Place, float]:
        """Stand in line; the place there, and the seconds that it is good for."""
        with self._lock:
            now = self._now()
            standing = self._controls[level].standing(now)
            wait = self._drain.seconds_for(self._ahead(level, standing=standing) + 1)
            if left is not None and wait is not None and wait > left:
                raise Turned("deadline", wait)
            lost: list[_Place] = []
            if self.waiting >= self._longest:
                lost = [self._displace(level, now)]
            elif standing:
                lost = self._overtake(level)
            patience = self._controls[level].patience(now)
            seconds = patience if left is None else min(patience, left)
            place = _Place(waiter, level, now + seconds)
            self._lines[level][place] = None
            self.waiting += 1
            for each, control in self._controls.items():
                if each <= level:
                    control.joined(now)
        for gone in lost:
            gone.waiter.wake()
        self._settle()
        return place, seconds

    def _ahead(self, level: Priority, *, standing: bool) -> int:
        """How many will go before one that joins now, if nobody else comes."""
        own = 0 if standing else len(self._lines[level])
        higher = sum(len(line) for other, line in self._lines.items() if other > level)
        return own + min(higher, PASSED_OVER * (own + 1))

    def _turns(self, level: Priority) -> float | None:
        """Places that are handed out while one of a class may wait in a standing line; None when nothing is known yet."""
        gap = self._drain.gap
        return None if gap is None else self._controls[level].target / max(gap, 1e-9)

    def _displace(self, level: Priority, now: float) -> _Place:
        """Take the one with the least hope out of a full line, for one of this class, which is refused when nobody gives way."""
        crowded = [other for other, line in self._lines.items() if other < level and len(line) > 1][-1:]
        if not crowded and not self._lines[level]:
            most = max(self._lines, key=lambda other: len(self._lines[other]))
            crowded = [most] if len(self._lines[most]) > 1 else []
        if not crowded:
            raise Turned("full", self.retry_after)
        place, _ = self._lines[crowded[0]].popitem(last=not self._controls[crowded[0]].standing(now))
        return self._taken(place, "displaced")

    def _overtake(self, level: Priority) -> list[_Place]:
        """Take the oldest of a class out of a standing line whom one more before them leaves without hope.

        The gap between two places is a mean, and the next ones may take half of it: hence twice the time. Two at most for each
        that joins: a line from before the overload gets shorter, and who is in it keeps his hope if nobody else comes.
        """
        own, turns = self._lines[level], self._turns(level)
        hope = len(own) if turns is None else int(2 * turns)
        hopeless = min(2, max(0, len(own) - hope))
        return [self._taken(own.popitem(last=False)[0], "overtaken") for _ in range(hopeless)]

    def _taken(self, place: _Place, why: str) -> _Place:
        place.lost = why
        self.waiting -= 1
        return place

    def _leave(self, place: _Place) -> bool:
        """Step out of the line; whether a place was handed over before that."""
        with self._lock:
            if place in self._lines[place.level]:
                del self._lines[place.level][place]
                self._gone(place.level, self._now())
            return place.waiter.granted

    def _gone(self, level: Priority, now: float) -> None:
        self.waiting -= 1
        for each, control in self._controls.items():  # from the highest
            if self._lines[each]:
                break
            if each <= level:
                control.emptied(now)
        if not self.waiting:
            self._drain.emptied()

    # Handing out

    def _settle(self) -> None:
        """Hand free places to those who wait."""
        lost = 0
        while True:
            woken: list[_Place] = []
            with self._lock:
                self.running -= lost
                now = self._now()
                while self.running < self.limit and self.waiting:
                    woken.append(self._next(now))
            lost = 0
            for place in woken:
                if not place.waiter.wake() and place.waiter.granted:
                    place.waiter.granted = False  # or it would be given back again when its coroutine is collected
                    lost += 1
            if not lost:
                return

    def _next(self, now: float) -> _Place:
        """Whose turn it is; out of the line with it, and a place to it unless its time is over."""
        waiting = [level for level, line in self._lines.items() if line]
        level = next((each for each in waiting[1:] if self._passed[each] >= PASSED_OVER), waiting[0])
        place, _ = self._lines[level].popitem(last=self._controls[level].standing(now))
        if place.expires >= now:
            place.waiter.granted = True
            self.running += 1
            self._drain.handed_out(now)
            for each in waiting[waiting.index(level) :]:
                self._passed[each] += 1
            self._passed[level] = 0  # and it begins anew
        self._gone(level, now)
        return place
