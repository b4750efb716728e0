"""Where replicas count together: the port, and an implementation in memory."""

from typing import Protocol, runtime_checkable

from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.rate.gcra import Decision, Gcra
from sengol_api.resilience.rate.meters import Meters


@runtime_checkable
class RateStore(Protocol):
    """The past of all keys, shared between replicas.

    Each method is one atomic round trip, and uses the clock of the store: those of the replicas differ. What it does is what
    :class:`~sengol_api.resilience.rate.gcra.Gcra` does; an implementation keeps a key until its TAT has passed. It may raise
    whatever it likes, and it may hang: its caller decides alone then.
    """

    async def take(self, key: str, cost: float, interval: float, burst: float, max_wait: float) -> Decision:
        """Decide on a call.

        Args:
            key: whose limit it is.
            cost: units.
            interval: seconds per unit.
            burst: units that may come at once.
            max_wait: seconds that the call would wait for its turn, which is then reserved.
        """
        ...

    async def adjust(self, key: str, cost: float, interval: float, burst: float) -> None:
        """Charge (above 0, also above the burst) or give back (below 0) units."""
        ...


class InMemoryRateStore:
    """A store for the pipelines of one process, and for tests.

    Args:
        clock: its own.
        max_keys: bound on the keys that are remembered.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, max_keys: int = 100_000) -> None:
        self._now = clock.now
        self._meters = Meters(max_keys)

    def __len__(self) -> int:
        return len(self._meters)

    async def take(self, key: str, cost: float, interval: float, burst: float, max_wait: float) -> Decision:
        """Decide on a call."""
        decision, _ = self._meters.take(Gcra(interval, burst), key, self._now(), cost, max_wait)
        return decision

    async def adjust(self, key: str, cost: float, interval: float, burst: float) -> None:
        """Charge or give back units."""
        self._meters.adjust(Gcra(interval, burst), key, self._now(), cost)
