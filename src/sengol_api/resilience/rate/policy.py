"""A bound on the rate of calls, or of what they cost."""

import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.counter import Counter
from sengol_api.resilience.deadline import time_left
from sengol_api.resilience.errors import RateLimited
from sengol_api.resilience.events import report
from sengol_api.resilience.options import FUNCTION, Allowed, above, at_least, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.rate.gcra import Decision, Gcra
from sengol_api.resilience.rate.meters import Meters
from sengol_api.resilience.rate.shared import SharedStore, StoreAway
from sengol_api.resilience.rate.store import RateStore

_STORE = Allowed("a RateStore, or None", lambda value: value is None or isinstance(value, RateStore))
_COST = at_least(0)
_SHORTEST, _LONGEST = 1e-9, 1e9  # seconds per unit that floats can still reckon with


@dataclass(frozen=True)
class RateLimit(PolicyOptions):
    """Lets ``rate`` units through in each ``period``, and up to ``burst`` at once.

    With a ``store`` the limit holds for all replicas together. While the store is away, or takes longer than ``store_timeout``,
    each replica limits by itself, and goes on from what the store said last: at most replicas × rate gets through, and nobody gets
    a fresh burst of a replica that knew his was used up.
    """

    kind: ClassVar[str] = "rate_limit"

    rate: float = option(..., above(0), "units let through in each period, on average; a call is one unit, unless cost says else")
    period: float = option(1.0, above(0), "the time that the rate is for", "s")
    burst: float | None = option(None, at_least(1).or_none(), "units that may come at once; None: the rate, but at least 1")
    key: Callable[[tuple[Any, ...], dict[str, Any]], Hashable] | None = option(
        None, FUNCTION.or_none(), "from the arguments of a call to its key, each of which has a limit of its own; None: one for all"
    )
    cost: Callable[[tuple[Any, ...], dict[str, Any]], float] | None = option(
        None, FUNCTION.or_none(), "from the arguments of a call to its units (tokens, bytes); None: 1"
    )
    max_wait: float = option(0.0, at_least(0), "longest time that a call waits for its turn; 0: it is refused at once", "s")
    max_keys: int = option(100_000, whole(1), "keys to remember; above it the ones that have used least are forgotten first")
    store: RateStore | None = option(None, _STORE, "counts for all replicas; plain functions are limited here alone")
    store_timeout: float = option(0.05, above(0), "time for an answer of the store, after which this replica decides", "s")
    store_failures: int = option(3, whole(1), "failures of the store in a row, after which it is left alone for a while")
    store_cooldown: float = option(5.0, above(0), "how long it is left alone", "s")

    def contradictions(self) -> Iterator[str]:
        """The rate and the period give a time per unit that can be reckoned with."""
        if not _SHORTEST <= self.period / self.rate <= _LONGEST:
            yield (
                f"rate={self.rate:g} in period={self.period:g} s is one unit in {self.period / self.rate:g} s, "
                f"it must be from {_SHORTEST:g} to {_LONGEST:g} s"
            )

    @property
    def limit(self) -> Gcra:
        """What the rate and the burst say, as the algorithm takes it."""
        return Gcra(self.period / self.rate, max(self.rate, 1.0) if self.burst is None else self.burst)

    def build(self, site: Site) -> "RateLimitPolicy":
        """The policy with these options at ``site``."""
        return RateLimitPolicy(self, site)


@dataclass(frozen=True, slots=True)
class RateLimitSnapshot:
    """State and statistics of a rate limit.

    Attributes:
        allowed: calls that could go, at once or after a wait.
        waited: those of them that had to wait for their turn.
        rejected: calls that were refused.
        keys: keys that this replica remembers; one whose burst is full again is forgotten.
        store: who decides: ``none`` without a store, ``shared``, or ``away`` when this replica decides alone.
        store_errors: failures of the store.
    """

    allowed: int
    waited: int
    rejected: int
    keys: int
    store: str
    store_errors: int


class RateLimitPolicy(Policy[RateLimit]):
    """Counts what goes through, for each key, and refuses or delays what is over the rate.

    A call that waits has its turn reserved: turns are in the order of arrival, and nobody has to wake up to find that somebody
    else was faster. One that is cancelled while it waits gives its turn back, as far as those behind it, who keep theirs, leave
    room; with a store it does not, since nobody may be left to wait for the answer.

    It can be asked without a call as well: :meth:`acquire`, :meth:`refund`, :meth:`settle`, and their ``_shared`` forms.
    """

    kind = "rate_limit"

    def __init__(self, options: RateLimit, site: Site) -> None:
        super().__init__(options, site)
        self._meters = Meters(options.max_keys)
        self._allowed = Counter()
        self._waited = Counter()
        self._rejected = Counter()
        self._shared: SharedStore | None = None
        self._apply(options)

    def _apply(self, options: RateLimit) -> None:
        self._gcra = options.limit
        self._meters.max_keys = options.max_keys
        self._shared = None
        if options.store is not None:
            self._shared = SharedStore(
                options.store, options.store_timeout, options.store_failures, options.store_cooldown, self.site
            )

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        sleep = self.site.clock.sleep

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            options, gcra, shared = self._options, self._gcra, self._shared
            key, cost, longest = self._asked(options, args, kwargs)
            decision = None
            if shared is not None:
                decision = await self._ask_store(shared, gcra, key, cost, longest)
            turn = None
            if decision is None:
                decision, turn = self._meters.take(gcra, key, self.site.clock.now(), cost, longest)
            self._count(decision)
            if not decision.allowed:
                raise self._refusal(decision, gcra, cost)
            if decision.wait:
                try:
                    await sleep(decision.wait)
                except BaseException:
                    if turn is not None:
                        self._meters.withdraw(gcra, key, self.site.clock.now(), cost, turn)
                    raise
            return await inner(function, args, kwargs)

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        wait = self.site.clock.wait

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            options, gcra = self._options, self._gcra
            key, cost, longest = self._asked(options, args, kwargs)
            decision, turn = self._meters.take(gcra, key, self.site.clock.now(), cost, longest)
            self._count(decision)
            if not decision.allowed:
                raise self._refusal(decision, gcra, cost)
            if decision.wait:
                try:
                    wait(threading.Event(), decision.wait)
                except BaseException:  # an interrupt
                    self._meters.withdraw(gcra, key, self.site.clock.now(), cost, turn)
                    raise
            return inner(function, args, kwargs)

        return call

    def _asked(self, options: RateLimit, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Hashable, float, float]:
        """The key of a call, its cost, and how long it may wait."""
        key: Hashable = None
        cost = 1.0
        longest = options.max_wait
        if options.key is not None:
            try:
                key = options.key(args, kwargs)
                hash(key)
            except Exception as error:  # noqa: BLE001 - not to be let in without a limit, nor refused for a bug
                key = None
                report(error, f"the key function of pipeline {self.site.pipeline!r} gave no key", options.key)
        if options.cost is not None:
            try:
                cost = _checked(options.cost(args, kwargs))
            except Exception as error:  # noqa: BLE001 - as above
                report(error, f"the cost function of pipeline {self.site.pipeline!r} gave no cost", options.cost)
        if longest:
            left = time_left(self.site.pipeline, self.site.policy)
            longest = longest if left is None else min(longest, left)
        return key, cost, longest

    async def _ask_store(self, shared: SharedStore, gcra: Gcra, key: Hashable, cost: float, longest: float) -> Decision | None:
        try:
            decision = await shared.ask(lambda: shared.store.take(self._shared_key(key), cost, gcra.interval, gcra.burst, longest))
        except StoreAway:
            return None
        self._meters.follow(gcra, key, self.site.clock.now(), decision.reset_after)
        return decision

    def _shared_key(self, key: Hashable) -> str:
        site = self.site
        return f"{site.pipeline}/{site.policy}" if key is None else f"{site.pipeline}/{site.policy}/{key}"

    def _count(self, decision: Decision) -> None:
        if not decision.allowed:
            self._rejected.add()
            return
        self._allowed.add()
        if decision.wait:
            self._waited.add()

    def _refusal(self, decision: Decision, gcra: Gcra, cost: float) -> Exception:
        reason = ""
        if decision.retry_after is None:
            reason = f"costs {cost:g} units, and no more than {gcra.burst:g} can ever be let through at once"
        return self._refused(RateLimited(self.site.pipeline, self.site.policy, decision.retry_after, reason))

    # Without a call

    def acquire(self, key: Hashable = None, cost: float = 1.0) -> Decision:
        """Take units, if they are there; never waits, never raises for want of them. This replica's own limit.

        Args:
            key: whose limit it is.
            cost: units; 0 asks without taking.

        Raises:
            ValueError: a cost that is negative or no number.
        """
        decision, _ = self._meters.take(self._gcra, key, self.site.clock.now(), _checked(cost))
        self._count(decision)
        return decision

    async def acquire_shared(self, key: Hashable = None, cost: float = 1.0) -> Decision:
        """As :meth:`acquire`, from the limit of all replicas; from this one's own while the store is away or none is given."""
        shared, gcra = self._shared, self._gcra
        decision = None if shared is None else await self._ask_store(shared, gcra, key, _checked(cost), 0.0)
        if decision is None:
            return self.acquire(key, cost)
        self._count(decision)
        return decision

    def refund(self, key: Hashable = None, cost: float = 1.0) -> None:
        """Give units back that were taken and not used.

        Not more than leaves those who wait for a reserved turn alone in it; so the limit holds whatever is given back.
        """
        self._meters.adjust(self._gcra, key, self.site.clock.now(), -_checked(cost))

    async def refund_shared(self, key: Hashable = None, cost: float = 1.0) -> None:
        """As :meth:`refund`, to the limit of all replicas; to this one's own while the store is away or none is given."""
        await self._adjust_shared(key, -_checked(cost))

    def settle(self, key: Hashable, reserved: float, used: float) -> None:
        """Put the cost that became known after a call in place of the one that was taken before it.

        Args:
            key: whose limit it is.
            reserved: units that were taken.
            used: units that it took in the end; what is above the reserved ones is owed, and later calls wait until it is paid.

        Raises:
            ValueError: one of them is negative or no number.
        """
        self._meters.adjust(self._gcra, key, self.site.clock.now(), _checked(used) - _checked(reserved))

    async def settle_shared(self, key: Hashable, reserved: float, used: float) -> None:
        """As :meth:`settle`, in the limit of all replicas; in this one's own while the store is away or none is given."""
        await self._adjust_shared(key, _checked(used) - _checked(reserved))

    async def _adjust_shared(self, key: Hashable, cost: float) -> None:
        shared, gcra = self._shared, self._gcra
        if shared is not None:
            try:
                await shared.ask(lambda: shared.store.adjust(self._shared_key(key), cost, gcra.interval, gcra.burst))
            except StoreAway:
                pass
            else:
                return
        self._meters.adjust(gcra, key, self.site.clock.now(), cost)

    def snapshot(self) -> RateLimitSnapshot:
        """State and statistics now."""
        shared = self._shared
        store = "none" if shared is None else "away" if shared.away else "shared"
        return RateLimitSnapshot(
            allowed=self._allowed.value,
            waited=self._waited.value,
            rejected=self._rejected.value,
            keys=len(self._meters),
            store=store,
            store_errors=0 if shared is None else shared.errors.value,
        )


def _checked(cost: float) -> float:
    if not _COST.accepts(cost):
        raise ValueError(f"cost={cost!r} is not allowed, it takes {_COST.words}")
    return float(cost)
