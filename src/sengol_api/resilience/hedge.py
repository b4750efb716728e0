"""A second call for one that takes unusually long: whichever answers first."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar

from sengol_api.resilience.attempt import ENDED, begin_link, resumed
from sengol_api.resilience.budget import Budget, RetryBudget
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.events import Event, report
from sengol_api.resilience.options import NO, Allowed, above, at_least, between, is_plain, option, whole
from sengol_api.resilience.policy import AsyncCall, Policy, PolicyOptions, Site, SyncCall
from sengol_api.resilience.quantile import LatencyQuantiles, ObservedQuantile
from sengol_api.resilience.race import Race, Task

_CENSORED = 1.25

Idempotent = bool | Callable[[tuple[Any, ...], dict[str, Any]], bool]

_IDEMPOTENT = Allowed(
    "True where a second call does no harm, or a plain function of (args, kwargs) that says so: a hedge makes calls twice",
    lambda value: value is True or is_plain(value),
)


@dataclass(frozen=True)
class Hedge(PolicyOptions):
    """Makes a second call when the first takes longer than 95 % of them do, for at most 5 % of the calls."""

    kind: ClassVar[str] = "hedge"

    idempotent: Idempotent = option(NO, _IDEMPOTENT, "whether a call may be made twice; has to be said")
    delay: float | None = option(
        None, above(0).or_none(), "time after which a second call starts; None: the observed quantile", "s"
    )
    quantile: float = option(0.95, between(0.5, 0.999), "share of the calls that end within the observed delay")
    min_delay: float = option(0.01, above(0), "shortest observed delay", "s")
    initial_delay: float | None = option(
        None, above(0).or_none(), "delay while too little is known; None: no hedge until more is", "s"
    )
    max_hedges: int = option(1, whole(1), "further calls for one call, each after another delay")
    budget: float = option(0.05, between(0, 1), "further calls as a share of the calls")
    burst: float = option(10.0, at_least(1), "most further calls that can be saved up")
    window: float = option(60.0, above(0), "time after which a latency is forgotten", "s")
    min_samples: int = option(20, whole(1), "calls in the window below which too little is known")

    def delay_after(self, observed: float | None) -> float | None:
        """Seconds until a second call, given the observed quantile; None for no second call."""
        if self.delay is not None:
            return self.delay
        return self.initial_delay if observed is None else max(observed, self.min_delay)

    def build(self, site: Site) -> "HedgePolicy":
        """The policy with these options at ``site``."""
        return HedgePolicy(self, site)


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """A further call was started for one that takes long.

    Attributes:
        delay: seconds that were given to the call before it.
    """

    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeWon(Event):
    """A further call answered first, and the call that it was for was cancelled.

    Attributes:
        took: seconds that the caller waited in all.
    """

    took: float


@dataclass(frozen=True, slots=True)
class HedgeSnapshot:
    """State and statistics of a hedge.

    Attributes:
        calls: that came in, each counted once.
        hedges: further calls that were started.
        won: further calls that answered first.
        denied: further calls that were not started, because the budget was spent.
        delay: seconds after which one would start now; None while too little is known.
        budget: further calls that the budget would allow now.
    """

    calls: int
    hedges: int
    won: int
    denied: int
    delay: float | None
    budget: float


class HedgePolicy(Policy[Hedge]):
    """Cuts the tail of the latency, after "The tail at scale" (Dean, Barroso, CACM 56/2, 2013).

    The first success wins. Who loses is cancelled, and has ended before the caller gets the answer. An error is no answer: while
    another attempt is under way, that one is waited for; when all have failed, the caller gets the error of the first. A call
    that fails before a second one has started is not made again: that is for a retry.

    The budget is a token bucket that every call fills a little (:mod:`~sengol_api.resilience.budget`) and that starts empty. When
    it is spent, calls wait for their own answer: under an overload, when all calls are slow, hedging stops by itself.

    The delay is learnt from the first attempts. One that lost would have taken longer than it was given, nobody knows how much; it
    counts with a quarter more. Were it left out, only fast answers would be seen, and the delay would shrink for ever; were it
    taken as it is, a delay that has become too short could not grow again. Errors and cancelled calls are left out.

    Plain functions are called once: a thread cannot be cancelled, so the loser would go on.
    """

    kind = "hedge"

    def __init__(self, options: Hedge, site: Site) -> None:
        super().__init__(options, site)
        self._calls = Counter()
        self._hedges = Counter()
        self._won = Counter()
        self._denied = Counter()
        self._learn_with(options, LatencyQuantiles(options.window))
        self._budget = Budget(_bucket(options), site.clock.now, self._calls)

    def _learn_with(self, options: Hedge, latencies: LatencyQuantiles) -> None:
        self._observed = ObservedQuantile(latencies, options.quantile, options.min_samples, options.window)

    def _apply(self, options: Hedge) -> None:
        same = options.window == self._options.window
        self._learn_with(options, self._observed.latencies if same else LatencyQuantiles(options.window))
        self._budget.options = _bucket(options)

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        count = self._calls.add
        now = self.site.clock.now

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            count()
            options = self._options
            started = now()
            result: list[Any] = [None]
            work = begin_link(inner, result, function, args, kwargs)
            waiting = next(work, ENDED)
            winner: Task | None = None
            if waiting is not ENDED:
                rest = resumed(work, waiting)
                race = self._race(options, inner, function, args, kwargs)
                if race is None:
                    await rest
                else:
                    winner = await race.run(rest)
            ended = now()
            took = ended - started
            if options.delay is None:
                self._observed.latencies.record(took if winner is None else took * _CENSORED, ended)
            if winner is None:
                return result[0]
            self._won.add()
            self._emit(HedgeWon, took=took)
            return winner.result()

        return call

    def _race(
        self, options: Hedge, inner: AsyncCall, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Race | None:
        """The race of a call that has begun to wait; None when there is nothing to hedge it with."""
        task = _running_task()
        delay = options.delay_after(self._observed.current(self.site.clock.now()))
        if task is None or delay is None:
            return None

        def another() -> Coroutine[Any, Any, Any] | None:
            if not self._may_call_again(options, args, kwargs):
                return None
            self._hedges.add()
            self._emit(HedgeStarted, delay=delay)
            return _attempt(inner, function, args, kwargs)

        return Race(task, another, delay, options.max_hedges)

    def _may_call_again(self, options: Hedge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if callable(options.idempotent):
            try:
                if not options.idempotent(args, kwargs):
                    return False
            except Exception as error:  # noqa: BLE001 - the call itself goes on, unhedged
                report(error, f"the idempotent function of pipeline {self.site.pipeline!r} raised", options.idempotent)
                return False
        if not self._budget.withdraw():
            self._denied.add()
            return False
        return True

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """``inner`` itself: plain functions are called once."""
        return inner

    def snapshot(self) -> HedgeSnapshot:
        """State and statistics now."""
        return HedgeSnapshot(
            calls=self._calls.value,
            hedges=self._hedges.value,
            won=self._won.value,
            denied=self._denied.value,
            delay=self._options.delay_after(self._observed.current(self.site.clock.now())),
            budget=self._budget.tokens,
        )


def _bucket(options: Hedge) -> RetryBudget:
    return RetryBudget(ratio=options.budget, per_second=0.0, burst=options.burst)


async def _attempt(inner: AsyncCall, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call, all of it in the task: a function that raises before it gives a coroutine must not do so in the timer."""
    return await inner(function, args, kwargs)


def _running_task() -> Task | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # driven by hand, without an event loop
        return None
