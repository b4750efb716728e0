"""When a line is a standing one: the rule of queue-delay control, without the queue.

A line that is empty now and then takes up bursts, and does no harm. One that never empties only makes everybody wait, and serves
nobody more. K. Nichols and V. Jacobson, "Controlling Queue Delay" (CoDel), ACM Queue 10(5), 2012, tell the two apart by the least
delay in an interval; B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015, in the form for calls that is used here: a line that has
not been empty for an interval is a standing one; while it is, nobody waits longer than the target, and the newest goes first,
since the oldest has the least time left.
"""


class ControlledDelay:
    """Watches whether a line is empty.

    A standing line has to stay empty for the target to be one no more: short waits make a line that empties by chance, and waits
    would swing between short and long while the load stays the same.

    Args:
        target: seconds that a call may wait in a standing line.
        interval: seconds after which a line that was not empty is a standing one; also the longest wait in one that is not.
    """

    __slots__ = ("_empty_since", "_since", "interval", "target")

    def __init__(self, target: float, interval: float) -> None:
        self.target = target
        self.interval = interval
        self._since: float | None = None
        self._empty_since: float | None = None

    def joined(self, now: float) -> None:
        """Somebody stands in line."""
        if not self.standing(now) and (self._since is None or self._empty_since is not None):
            self._since = now
        self._empty_since = None

    def emptied(self, now: float) -> None:
        """Nobody does."""
        if self.standing(now):
            self._empty_since = now
        else:
            self._since = None

    def shed(self, now: float) -> None:
        """Somebody was turned away who would have stood in line: it is not for want of callers that it is empty."""
        if self._empty_since is not None and self.standing(now):
            self._empty_since = now

    def standing(self, now: float) -> bool:
        """Whether the line is a standing one."""
        if self._since is None or now - self._since < self.interval:
            return False
        return self._empty_since is None or now - self._empty_since < self.target

    def patience(self, now: float) -> float:
        """Seconds that who joins now may wait."""
        return self.target if self.standing(now) else self.interval
