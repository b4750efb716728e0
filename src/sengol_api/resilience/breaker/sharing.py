"""Circuit breakers whose replicas tell each other when they open and close, through a store that may be away at any time.

A breaker that its own calls have opened says so in the store, with the seconds that remain; the others open for as long. When a
replica's probes have closed its breaker, those that are still open because of the same opening go to probing at once, rather than
trust it blindly. What is done by hand stays local.

No clock is compared with another: a record says how long it still holds, is written anew in every round, and leaves the store when
that time is over. So a wall clock that is wrong does no harm, and a record is late by one round at most. A record is followed once,
and what was followed is not published: no echo goes round. Calls never wait for the store; only the rounds do, and not for long.
"""

import asyncio
import json
import math
import secrets
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from sengol_api.resilience.breaker.policy import CircuitBreakerPolicy
from sengol_api.resilience.breaker.states import Cause, CircuitState
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.resilience.deadline import without_deadline
from sengol_api.resilience.errors import OptionsError
from sengol_api.resilience.options import above

T = TypeVar("T")

_SECONDS = above(0)
_LONGEST_RECORD = 512  # bytes; ours take about a hundred
_LONGEST_TIME = 1e9  # seconds
_ROUNDS_TO_SEE_A_CLOSING = 10


class StateStore(Protocol):
    """Where replicas leave word for each other. Any method may raise or hang."""

    async def get(self, key: str) -> bytes | None:
        """What was set and has not run out."""
        ...

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds (above 0, seldom whole), in place of what was there."""
        ...

    async def delete(self, key: str) -> None:
        """Forget what was set, if anything."""
        ...


class InMemoryStore:
    """A store for the breakers of one process, and for tests.

    Args:
        clock: by which values run out.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._values: dict[str, tuple[bytes, float]] = {}

    async def get(self, key: str) -> bytes | None:
        """What was set and has not run out."""
        value, expires_at = self._values.get(key, (None, math.inf))
        if self._clock.now() < expires_at:
            return value
        self._values.pop(key, None)
        return None

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds, in place of what was there."""
        self._values[key] = value, self._clock.now() + ttl

    async def delete(self, key: str) -> None:
        """Forget what was set, if anything."""
        self._values.pop(key, None)


class _Record(NamedTuple):
    """What is in the store: an opening, and whether it is over.

    Attributes:
        opening: its name, the same for all replicas that follow it.
        seconds: that it still holds; 0 when a replica's probes have closed it.
    """

    opening: str
    seconds: float

    def encoded(self) -> bytes:
        return json.dumps({"opening": self.opening, "seconds": self.seconds}).encode()


def _decoded(value: bytes | None) -> _Record | None:
    """A record, or None for what is none: whatever a store holds, nobody opens because of garbage."""
    if not isinstance(value, bytes) or len(value) > _LONGEST_RECORD:
        return None
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        return None
    match fields:
        case {"opening": str(opening), "seconds": int() | float() as seconds} if opening and 0 <= seconds <= _LONGEST_TIME:
            return _Record(opening, float(seconds))
    return None


class _Shared:
    """One breaker, and what its replica knows of the openings elsewhere."""

    def __init__(self, policy: CircuitBreakerPolicy, key: str) -> None:
        self.core = policy.core
        self.key = key
        self.opening = ""  # the last one that it took part in, its own or one that it followed
        self.generation = -1  # in which it was open because of that
        self.closed = -1  # generation whose closing was published
        self.published = ""
        self.known: deque[str] = deque(maxlen=64)  # openings elsewhere that were followed, or were not to be


@dataclass(frozen=True, slots=True)
class SharedBreakersSnapshot:
    """State and statistics of the sharing.

    Attributes:
        alone: the store did not answer in the last round (or none was made yet): every replica decides for itself.
        error: what the store raised in the last round; None when it answered.
        last_answer: when it last answered for all breakers, in seconds since the epoch, for display; None if it never did.
        published: records that this replica wrote.
        followed: times that a breaker opened, or went to probing, because of another replica.
        failures: rounds in which the store did not answer for a breaker.
    """

    alone: bool
    error: Exception | None
    last_answer: float | None
    published: int
    followed: int
    failures: int


class SharedBreakers:
    """Shares the state of circuit breakers with other replicas of the service.

    ::

        async with SharedBreakers(store, search["circuit_breaker"], chat["circuit_breaker"]):
            ...                                  # serve

    Breakers of the same pipeline and policy name belong together. Each replica goes on deciding by its own calls; what it hears of
    the others only adds to that. While the store is away, that is all there is.

    Args:
        store: that all replicas reach.
        breakers: to share; one that several pipelines have may come several times.
        interval: between two rounds, seconds.
        timeout: for each answer of the store, seconds of the event loop.
        clock: that spaces the rounds.
        prefix: of the keys in the store.

    Raises:
        OptionsError: a time that is not above 0, something that is no circuit breaker, or two of the same name.
    """

    def __init__(
        self,
        store: StateStore,
        *breakers: CircuitBreakerPolicy,
        interval: float = 1.0,
        timeout: float = 0.25,
        clock: Clock = SYSTEM_CLOCK,
        prefix: str = "breaker:",
    ) -> None:
        given: list[Any] = list(breakers)
        self._store = store
        self._interval = interval
        self._timeout = timeout
        self._clock = clock
        self._replica = secrets.token_hex(8)
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._last_answer: float | None = None
        self._alone = True
        self._published = self._followed = self._failures = 0
        times = {"interval": interval, "timeout": timeout}
        problems = [
            f"{name}={value!r} is not allowed, it takes {_SECONDS.words}"
            for name, value in times.items()
            if not _SECONDS.accepts(value)
        ]
        problems += [f"{each!r} is no circuit breaker" for each in given if not isinstance(each, CircuitBreakerPolicy)]
        if not problems:
            self._shared = [_Shared(each, f"{prefix}{each.site.pipeline}/{each.site.policy}") for each in dict.fromkeys(breakers)]
            keys = [each.key for each in self._shared]
            problems += [f"two breakers have the key {key!r}: take one" for key in sorted(set(keys)) if keys.count(key) > 1]
        if problems:
            raise OptionsError("SharedBreakers", problems)

    async def __aenter__(self) -> Self:
        # Whoever starts this may be bound by a deadline; the rounds are not.
        self._task = asyncio.create_task(self.run(), name="shared breakers", context=without_deadline())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])  # not the task itself, whose cancellation would look like one of our own
            if not task.cancelled():
                task.result()

    async def run(self) -> None:
        """Exchange the state in rounds, for ever."""
        while True:
            await self.exchange()
            await self._clock.sleep(self._interval)

    async def exchange(self) -> None:
        """One round: hear what the others say of each breaker, and say what is new of one's own. Never raises."""
        errors = [error for error in await asyncio.gather(*map(self._exchanged, self._shared)) if error is not None]
        self._failures += bool(errors)
        self._alone = bool(errors)
        self._error = errors[0] if errors else None
        if not errors:
            self._last_answer = self._clock.wall()

    async def _exchanged(self, shared: _Shared) -> Exception | None:
        try:
            record = _decoded(await self._answer(self._store.get(shared.key)))
            self._hear(shared, record)
            await self._say(shared, record)
        except Exception as error:  # noqa: BLE001 - whatever a store does, its replica decides alone
            return error
        return None

    async def _answer(self, work: Awaitable[T]) -> T:
        async with asyncio.timeout(self._timeout):
            return await work

    def _hear(self, shared: _Shared, record: _Record | None) -> None:
        if record is None:
            return
        if record.seconds == 0:
            self._followed += record.opening == shared.opening and shared.core.probe_now(shared.generation)
        elif record.opening not in shared.known and not record.opening.startswith(self._replica):
            shared.known.append(record.opening)
            generation = shared.core.follow(record.seconds)
            if generation is not None:
                shared.opening, shared.generation = record.opening, generation
                self._followed += 1

    async def _say(self, shared: _Shared, record: _Record | None) -> None:
        standing = shared.core.standing()
        if standing.cause is Cause.CALLS and standing.state is CircuitState.OPEN:
            shared.opening, shared.generation = f"{self._replica}-{standing.generation}", standing.generation
            # Of several openings the one that lasts longest stands, so that two replicas do not overwrite each other for ever.
            known = record is not None and record.opening != shared.opening and record.seconds + self._interval > standing.seconds
            if standing.seconds > 0 and not known:
                await self._publish(shared, standing.seconds, ttl=standing.seconds)
        elif standing.cause is Cause.CALLS and standing.state is CircuitState.CLOSED:
            news = shared.opening and shared.closed != standing.generation
            if news and (record is None or record.opening == shared.opening):
                await self._publish(shared, 0.0, ttl=_ROUNDS_TO_SEE_A_CLOSING * (self._interval + self._timeout))
            shared.closed = standing.generation
        elif standing.cause is Cause.HAND and record is not None and record.opening == shared.published:
            await self._answer(self._store.delete(shared.key))  # nobody who starts later shall follow what a person has ended

    async def _publish(self, shared: _Shared, seconds: float, ttl: float) -> None:
        await self._answer(self._store.set(shared.key, _Record(shared.opening, seconds).encoded(), ttl))
        shared.published = shared.opening
        self._published += 1

    def snapshot(self) -> SharedBreakersSnapshot:
        """State and statistics now."""
        return SharedBreakersSnapshot(
            alone=self._alone,
            error=self._error,
            last_answer=self._last_answer,
            published=self._published,
            followed=self._followed,
            failures=self._failures,
        )
