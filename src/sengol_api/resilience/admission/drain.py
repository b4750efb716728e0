"""How fast a line moves."""

_WEIGHT = 0.1


class DrainRate:
    """The mean time between two places that are handed out, while somebody waits for them."""

    __slots__ = ("_last", "gap")

    def __init__(self) -> None:
        self._last: float | None = None
        self.gap: float | None = None

    def handed_out(self, now: float) -> None:
        """The line moved by one."""
        if self._last is not None:
            gap = now - self._last
            self.gap = gap if self.gap is None else self.gap + _WEIGHT * (gap - self.gap)
        self._last = now

    def emptied(self) -> None:
        """The time until somebody stands in line again says nothing of how fast it moves."""
        self._last = None

    def seconds_for(self, places: int) -> float | None:
        """How long it takes to hand out so many places; None when nothing is known yet."""
        return None if self.gap is None else places * self.gap
