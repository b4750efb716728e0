"""The second tier: a store that several processes share, and that may vanish or freeze at any time."""

import asyncio
import math
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from sengol_api.resilience.answered import done_within
from sengol_api.resilience.breaker.options import CircuitBreaker
from sengol_api.resilience.cache.envelope import Enclosed, seal, unseal
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.errors import TimedOut
from sengol_api.resilience.options import Allowed
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.policy import Site


class Tier(Protocol):
    """A store behind the cache, such as Valkey. Any method may raise what it likes; none has to be quick."""

    async def get(self, key: str) -> bytes | None:
        """What was set under the key; None when there is nothing, or its time is over."""
        ...

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for ``ttl`` seconds."""
        ...

    async def delete(self, key: str) -> None:
        """Forget a value."""
        ...

    async def clear(self) -> None:
        """Forget all values."""
        ...


TIER = Allowed(
    "a tier with get, set, delete and clear",
    lambda value: all(callable(getattr(value, name, None)) for name in ("get", "set", "delete", "clear")),
)
"""What an option takes that is a tier."""


class InMemoryTier:
    """A tier in this process: for tests, and as a model of one.

    Args:
        clock: that ends the times to live.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self.values: dict[str, tuple[bytes, float]] = {}
        """What it holds: value and end, by key."""

    async def get(self, key: str) -> bytes | None:
        """What was set under the key, until its time is over."""
        kept = self.values.get(key)
        if kept is None:
            return None
        value, end = kept
        if end <= self._clock.now():
            del self.values[key]
            return None
        return value

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for ``ttl`` seconds."""
        self.values[key] = (value, self._clock.now() + ttl)

    async def delete(self, key: str) -> None:
        """Forget a value."""
        self.values.pop(key, None)

    async def clear(self) -> None:
        """Forget all values."""
        self.values.clear()


_MOST_MARKS = 10_000


class _Mark(NamedTuple):
    """An invalidation: its number, and when it was, in seconds since the epoch."""

    serial: int
    at: float


class GuardedTier:
    """A tier that delays nobody for long.

    Each access has its time limit, and runs in a task of its own: one that does not even react to being cancelled is left
    behind. After some failures in a row, damaged entries among them, the tier is left alone for a while: by a circuit breaker for
    reads and one for writes, since a store that takes all and gives back nonsense would never open a common one.

    What was invalidated here is not believed again, even if the tier could not be told.

    Args:
        tier: the store.
        timeout: of an access, in seconds.
        failures: in a row, after which it is left alone.
        cooldown: for how many seconds.
        site: of the cache.
    """

    def __init__(self, tier: Tier, timeout: float, failures: int, cooldown: float, site: Site) -> None:
        self._tier = tier
        self._timeout = timeout
        self._wall = site.clock.wall
        breaker = CircuitBreaker(
            trip_on="consecutive",
            failure_threshold=failures,
            success_threshold=1,
            max_probes=1,
            reset_timeout=cooldown,
            max_reset_timeout=max(cooldown, 600.0),
        )
        self._reads, self._writes = [
            Pipeline(f"{site.pipeline}.tier", breaker, clock=site.clock, random=site.random) for _ in ("read", "write")
        ]
        self._namespace = site.pipeline
        self._left_behind: set[asyncio.Future[Any]] = set()
        self._lock = threading.Lock()
        self._invalidated: OrderedDict[str, _Mark] = OrderedDict()
        self._all_before = _Mark(0, -math.inf)
        self._serial = 0

    @property
    def state(self) -> str:
        """State of the breaker for reads: CLOSED while they are made, OPEN while the tier is left alone."""
        return str(self._reads["circuit_breaker"].state)

    @property
    def serial(self) -> int:
        """Number of the last invalidation."""
        return self._serial

    async def get(self, name: str) -> Enclosed | None:
        """The entry of that name. Raises whatever went wrong."""
        found: Enclosed | None = await self._reads.call(self._read, name)
        if found is None or found.made_at <= self._mark(name).at:
            return None
        return found

    async def _read(self, name: str) -> Enclosed | None:
        key = self._key(name)
        data = await self._in_time(self._tier.get, key)
        return None if data is None else unseal(key, data)

    async def set(self, name: str, entry: Enclosed, ttl: float, serial: int) -> None:
        """Keep an entry for ``ttl`` seconds, unless it was invalidated after the invalidation with that number."""
        if self._mark(name).serial > serial:
            return
        key = self._key(name)
        await self._writes.call(self._in_time, self._tier.set, key, seal(key, entry), ttl)
        if self._mark(name).serial > serial:  # meanwhile; the store may have heard of that first
            await self.delete(name)

    def _mark(self, name: str) -> _Mark:
        return self._invalidated.get(name, self._all_before)

    def disbelieve(self, name: str) -> None:
        """Ignore what the tier has under that name now."""
        with self._lock:
            self._serial += 1
            self._invalidated[name] = _Mark(self._serial, self._wall())
            self._invalidated.move_to_end(name)
            if len(self._invalidated) > _MOST_MARKS:  # forget the oldest, and believe nothing that is as old
                self._all_before = self._invalidated.popitem(last=False)[1]

    def disbelieve_all(self) -> None:
        """Ignore what the tier has now."""
        with self._lock:
            self._serial += 1
            self._invalidated.clear()
            self._all_before = _Mark(self._serial, self._wall())

    async def delete(self, name: str) -> None:
        """Forget an entry."""
        await self._writes.call(self._in_time, self._tier.delete, self._key(name))

    async def clear(self) -> None:
        """Forget all entries."""
        await self._writes.call(self._in_time, self._tier.clear)

    def _key(self, name: str) -> str:
        return f"{self._namespace}:{name}"

    async def _in_time(self, access: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        task = asyncio.ensure_future(access(*args))
        try:
            await done_within(self._timeout, task)
        finally:
            if not task.done():
                self._leave_behind(task)
        if task.cancelled():  # by somebody inside: not ours, and no reason to cancel the call
            raise ConnectionError("the access to the tier was cancelled")
        if not task.done():
            raise TimedOut(self._reads.name, "tier", self._timeout)
        return task.result()

    def _leave_behind(self, task: asyncio.Future[Any]) -> None:
        task.cancel()
        self._left_behind.add(task)
        task.add_done_callback(self._left_behind.discard)
