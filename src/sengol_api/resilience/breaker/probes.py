"""The calls that a half-open circuit breaker lets through to find out."""


class Probe:
    """One of them."""

    __slots__ = ("started",)

    def __init__(self, started: float) -> None:
        self.started = started


Ticket = int | Probe
"""What a call holds while it is under way: the generation in which it started, or its probe."""


class Probes:
    """Those that are under way, and how many have succeeded.

    To give a slot back takes no lock, so that it may happen at any time; all else happens under the breaker's.
    """

    def __init__(self) -> None:
        self._out: set[Probe] = set()
        self.passed = 0

    def __len__(self) -> int:
        return len(self._out)

    def begin(self, now: float, most: int) -> Probe | None:
        """A new one, unless ``most`` are under way."""
        if len(self._out) >= most:
            return None
        probe = Probe(now)
        self._out.add(probe)
        return probe

    def end(self, probe: Probe) -> bool:
        """It has ended, or is given back; whether it was still one of them."""
        known = probe in self._out
        self._out.discard(probe)
        return known

    def hung(self, now: float, timeout: float) -> bool:
        """Whether one has been under way for ``timeout`` seconds."""
        # A copy, made in one step: probes that are given back leave at any time.
        return any(now - probe.started >= timeout for probe in tuple(self._out))

    def start_over(self) -> None:
        """Forget all."""
        self._out.clear()
        self.passed = 0
