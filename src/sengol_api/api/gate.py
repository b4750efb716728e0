"""Who is let in when there is more to do than can be done: admission by priority, with a limit that finds itself."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

from sengol_api.resilience import AdaptiveLimit, Admission, Occupancy, Pipeline, Priority, Registry, Station, priority
from sengol_api.resilience.admission.policy import AdmissionPolicy
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock
from sengol_api.review.errors import Problem, ValidationError

T = TypeVar("T")
Work = Literal["light", "heavy"]
HEADER: Final = "x-priority"
OVER_SHARE: Final = "over_share"
"""In ``scope["state"]`` of a request whose sender has had his share of heavy work: it is batch work, whatever else it says."""
_NAMES: Final = {"critical": Priority.CRITICAL, "interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """What is done at once.

    Attributes:
        least_heavy: pieces of heavy work (reviews, searches) that are let in at once however much there is to compute.
        first_heavy: so many to begin with, until it is seen how much of their time they wait for others.
        most_heavy: at most so many.
        light: pieces of light work at once.
        queue: pieces of each that may wait for a place.
        target_delay: seconds that one waits at most under overload.
        interval: seconds after which a line that never empties is an overload; until then one waits that long at most.
        own: pieces of heavy work of one user at once that go before the work of others who wait. What he asks beyond that is done
            when nobody else waits: then it is nobody's loss.
    """

    least_heavy: int = 1
    first_heavy: int = 1
    most_heavy: int = 256
    light: int = 256
    queue: int = 256
    target_delay: float = 0.09
    interval: float = 0.5
    own: int = 2


class Gate:
    """Lets work in by its class and priority.

    Attributes:
        heavy_line: where heavy work waits; who sees a request first can ask there whether it is worth while to look at it.

    Args:
        options: what is done at once.
        registry: where its pipelines are entered.
        computing: where this process computes; by default nowhere: all heavy work waits for others.
        clock: of its pipelines.
    """

    def __init__(
        self,
        options: GateOptions,
        registry: Registry | None = None,
        computing: Station | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._own = options.own
        self._under_way: Counter[str] = Counter()
        self._computing = computing or Station()
        finder = AdaptiveLimit(
            Occupancy(self._computing),
            initial=min(max(options.first_heavy, options.least_heavy), options.most_heavy),
            min_limit=options.least_heavy,
            max_limit=options.most_heavy,
            min_samples=1,
        )
        places: dict[Work, int | AdaptiveLimit] = {"heavy": finder, "light": options.light}
        self._pipelines = {
            work: Pipeline(
                f"admission.{work}",
                Admission(
                    max_concurrent=number,
                    max_queue=options.queue,
                    target_delay=options.target_delay,
                    interval=options.interval,
                ),
                clock=clock,
            )
            for work, number in places.items()
        }
        self.heavy_line: AdmissionPolicy = self._pipelines["heavy"][Admission.kind]
        if registry is not None:
            for pipeline in self._pipelines.values():
                registry.add(pipeline)

    async def admit(self, work: Work, level: Priority, do: Callable[[], Awaitable[T]], *, user: str | None = None) -> T:
        """Do a piece of work when its turn comes.

        Args:
            work: how much there is to do.
            level: its class; that of batch work where its user has as much under way as may go before others.
            do: does it.
            user: whose it is; None for nobody's in particular.

        Raises:
            Overloaded: it does not come in time.
        """
        if work == "light" or user is None:
            return await self._admitted(work, level, do)
        self._under_way[user] += 1
        try:
            if self._under_way[user] > self._own and level is Priority.INTERACTIVE:
                level = Priority.BATCH
            return await self._admitted(work, level, do)
        finally:
            self._under_way[user] -= 1
            if not self._under_way[user]:
                del self._under_way[user]

    async def _admitted(self, work: Work, level: Priority, do: Callable[[], Awaitable[T]]) -> T:
        with priority(level, may_raise=True):
            return await self._pipelines[work].call(do if work == "light" else partial(self._counted, do))

    async def _counted(self, do: Callable[[], Awaitable[T]]) -> T:
        with self._computing.call():
            return await do()


def level_of(wish: str | None, own: Priority) -> Priority:
    """The priority of a request: that of its operation, or a lower one that the client asks for.

    Args:
        wish: the X-Priority header.
        own: priority of the operation.

    Raises:
        ValidationError: the header names no priority.
    """
    if wish is None:
        return own
    named = _NAMES.get(wish.strip().lower())
    if named is None:
        message = f"takes one of {', '.join(_NAMES)}, got {wish[:20]!r}"
        raise ValidationError([Problem("X-Priority", message, "not_allowed")])
    return min(named, own)
