"""The shared budget of requests and tokens: it slows calls before the provider has to, and holds all back when asked to."""

import math
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from sengol_api.adapters.openai.allowance import DIMENSIONS, Allowance, told_by
from sengol_api.adapters.openai.errors import ModelError, RateLimitedError
from sengol_api.resilience import PolicyOptions, RateLimited, Rejected, remaining
from sengol_api.resilience.counter import Counter
from sengol_api.resilience.options import FUNCTION, at_least, option
from sengol_api.resilience.policy import AsyncCall, Policy, Site, SyncCall

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds, after a 429 that does not say how long to wait
_LONGEST_HOLD = 3600.0  # seconds for which anybody is believed
_SPREAD = 0.1  # of a wait, so that not all who waited come at the same moment; at most a second
_MOST_LANES = 100  # models; above it the budget of the one that came first is forgotten


class Cost(NamedTuple):
    """What a call takes from a budget.

    Attributes:
        model: whose budget: limits are per key and model.
        tokens: about so many, those of the answer included as far as it is bounded.
    """

    model: str
    tokens: int


@dataclass(frozen=True)
class ServerBudget(PolicyOptions):
    """Keeps calls within what the provider's headers say is left, and to the waits that it asks for."""

    kind: ClassVar[str] = "server_budget"

    cost: Callable[..., Cost] = option(..., FUNCTION, "what a call takes, from its arguments")
    max_wait: float = option(60.0, at_least(0), "longest wait for a turn; above it the call is refused at once", "s")

    def build(self, site: Site) -> "ServerBudgetPolicy":
        """The policy with these options at ``site``."""
        return ServerBudgetPolicy(self, site)


@dataclass(frozen=True, slots=True)
class BudgetSnapshot:
    """State and statistics of a shared budget.

    Attributes:
        left: requests and tokens that are left, by model; None where the provider did not tell, or too long ago.
        paused_for: seconds for which all calls are held back, by model.
        waited: calls that waited for their turn.
        refused: calls whose turn would have come too late.
    """

    left: Mapping[str, tuple[float | None, float | None]]
    paused_for: Mapping[str, float]
    waited: int
    refused: int


class Lane:
    """The budget of one model. Used under the lock of its policy alone."""

    def __init__(self) -> None:
        self.allowances = tuple(Allowance() for _ in DIMENSIONS)
        self.paused_until = -math.inf
        self.pause = 0.0
        self.sent = 0
        self.under_way: dict[int, tuple[float, ...]] = {}
        self.waiting = [0.0 for _ in DIMENSIONS]

    def take(self, units: tuple[float, ...], now: float) -> float:
        """Take a turn; seconds until it comes."""
        waits = [allowance.take(each, now) for allowance, each in zip(self.allowances, units, strict=True)]
        return max(*waits, self.paused_until - now)

    def give_back(self, units: tuple[float, ...], now: float) -> None:
        """A turn that was taken and is not used."""
        for allowance, each in zip(self.allowances, units, strict=True):
            allowance.give_back(each, now)

    def wait(self, units: tuple[float, ...], sign: int) -> None:
        """Someone began (1) or ended (-1) to wait for a turn."""
        self.waiting = [waiting + sign * each for waiting, each in zip(self.waiting, units, strict=True)]

    def learn(self, number: int, headers: Mapping[str, str], now: float) -> None:
        """The answer to the request of that number has come. Later ones may have been sent after the provider counted."""
        for place, dimension in enumerate(DIMENSIONS):
            told = told_by(headers, dimension)
            if told is not None:
                later = sum(units[place] for other, units in self.under_way.items() if other > number)
                self.allowances[place].learn(told, later + self.waiting[place], now)

    def hold(self, seconds: float | None, now: float) -> None:
        """The provider asked for a pause, perhaps without saying how long."""
        if seconds is None:
            seconds = self.pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * self.pause))
        self.paused_until = max(self.paused_until, now + min(seconds, _LONGEST_HOLD))


class ServerBudgetPolicy(Policy[ServerBudget]):
    """Gives each call its turn.

    A call that has to wait has its turn reserved, so turns are in the order of arrival. One whose turn would come after its
    deadline, or after ``max_wait``, is refused at once, and takes nothing. Nothing that a provider tells can hold calls back for
    longer: what it told is forgotten in time, and a call that is larger than a whole limit is let through for it to judge.
    """

    kind = "server_budget"

    def __init__(self, options: ServerBudget, site: Site) -> None:
        super().__init__(options, site)
        self._lock = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        self._waited = Counter()
        self._refusals = Counter()

    def link(self, inner: AsyncCall) -> AsyncCall:
        """This policy around ``inner``, for coroutine functions."""
        sleep = self.site.clock.sleep

        async def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
            cost = self._options.cost(*args, **kwargs)
            with closing(self._waits(cost)) as waits:
                for wait in waits:
                    await sleep(wait)
            try:
                return await inner(function, args, kwargs)
            except Rejected:
                self._unused(cost)
                raise

        return call

    def link_sync(self, inner: SyncCall) -> SyncCall:
        """This policy around ``inner``, for plain functions."""
        hold_thread = self.site.clock.wait

        def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
            cost = self._options.cost(*args, **kwargs)
            with closing(self._waits(cost)) as waits:
                for wait in waits:
                    hold_thread(threading.Event(), wait)
            try:
                return inner(function, args, kwargs)
            except Rejected:
                self._unused(cost)
                raise

        return call

    def _waits(self, cost: Cost) -> Generator[float, None, None]:
        """The seconds to wait, one after the other, until it is the turn of a call. Closed before that, it gives the turn back.

        Raises:
            RateLimited: the turn would come too late.
        """
        now = self.site.clock.now
        units = _units(cost)
        started = now()
        with self._lock:
            lane = self._lane(cost.model)
            wait = lane.take(units, started)
            if wait <= 0:
                return
            lane.wait(units, 1)
        had_its_turn = False
        try:
            while wait > 0:
                self._check(wait, now() - started)
                yield wait + self.site.random.uniform(0, min(1.0, _SPREAD * wait))
                wait = lane.paused_until - now()
            had_its_turn = True
            self._waited.add()
        finally:
            with self._lock:
                lane.wait(units, -1)
                if not had_its_turn:
                    lane.give_back(units, now())

    def _check(self, wait: float, waited: float) -> None:
        left = remaining()
        if waited + wait > self._options.max_wait or (left is not None and wait >= left):
            self._refusals.add()
            raise self._refused(
                RateLimited(self.site.pipeline, self.site.policy, wait, "would have to wait for the provider's limits")
            )

    def _unused(self, cost: Cost) -> None:
        with self._lock:
            self._lane(cost.model).give_back(_units(cost), self.site.clock.now())

    def _lane(self, model: str) -> Lane:
        lane = self._lanes.get(model)
        if lane is None:
            lane = self._lanes[model] = Lane()
            if len(self._lanes) > _MOST_LANES:
                del self._lanes[next(iter(self._lanes))]
        return lane

    @contextmanager
    def request(self, cost: Cost) -> Iterator["Request"]:
        """A request that is being sent: it learns from the answer, and ends with the block."""
        with self._lock:
            lane = self._lane(cost.model)
            lane.sent += 1
            number = lane.sent
            lane.under_way[number] = _units(cost)
        try:
            yield Request(self, lane, number)
        finally:
            with self._lock:
                del lane.under_way[number]

    def told(self, lane: Lane, number: int, headers: Mapping[str, str]) -> None:
        """An answer has come."""
        with self._lock:
            lane.learn(number, headers, self.site.clock.now())

    def went_well(self, lane: Lane) -> None:
        """The provider served."""
        lane.pause = 0.0

    def hold(self, lane: Lane, error: ModelError) -> None:
        """The provider refused: it asks for a wait, or should have."""
        if error.retry_after is not None or isinstance(error, RateLimitedError):
            with self._lock:
                lane.hold(error.retry_after, self.site.clock.now())

    def snapshot(self) -> BudgetSnapshot:
        """State and statistics now."""
        now = self.site.clock.now()
        with self._lock:
            left = {model: (lane.allowances[0].left(now), lane.allowances[1].left(now)) for model, lane in self._lanes.items()}
            paused = {model: lane.paused_until - now for model, lane in self._lanes.items() if lane.paused_until > now}
        return BudgetSnapshot(left=left, paused_for=paused, waited=self._waited.value, refused=self._refusals.value)


class Request:
    """A request under way, as the budget sees it."""

    __slots__ = ("_lane", "_number", "_policy")

    def __init__(self, policy: ServerBudgetPolicy, lane: Lane, number: int) -> None:
        self._policy = policy
        self._lane = lane
        self._number = number

    def answered(self, headers: Mapping[str, str]) -> None:
        """An answer came; a good one or not."""
        self._policy.told(self._lane, self._number, headers)

    def served(self) -> None:
        """It was a good one."""
        self._policy.went_well(self._lane)

    def refused(self, error: ModelError) -> None:
        """It was an error."""
        self._policy.hold(self._lane, error)


def _units(cost: Cost) -> tuple[float, ...]:
    return 1.0, float(cost.tokens)
