"""Who is let in when there is more to do than can be done: admission by priority, with a limit that finds itself."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from sengol_api.resilience import AdaptiveLimit, Admission, Gradient2, Pipeline, Priority, Registry, priority
from sengol_api.resilience.admission.policy import AdmissionPolicy
from sengol_api.review.errors import Problem, ValidationError

T = TypeVar("T")
Work = Literal["light", "heavy"]
HEADER: Final = "x-priority"
OVER_SHARE: Final = "over_share"
"""In ``scope["state"]`` of a request whose sender has had his share of heavy work: it is batch work, whatever else it says."""
_NAMES: Final = {"critical": Priority.CRITICAL, "interactive": Priority.INTERACTIVE, "batch": Priority.BATCH}

_LOOK_AFTER: Final = 10
"""Pieces after which the limit of heavy work is looked at again: a process does some ten in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """What is done at once.

    Attributes:
        least_heavy: pieces of heavy work (reviews, searches) that are let in at once however slow they are: one is worked out while
            another one waits for the database. Those that wait for a model are slow without being a load, so there must be room for
            them.
        most_heavy: at most so many.
        headroom: pieces of heavy work beyond those that the process can work at, as a multiple of the root of the limit.
        light: pieces of light work at once.
        queue: pieces of each that may wait for a place.
        target_delay: seconds that one waits at most under overload.
        interval: seconds after which a line that never empties is an overload; until then one waits that long at most.
        own: pieces of heavy work of one user at once that go before the work of others who wait. What he asks beyond that is done
            when nobody else waits: then it is nobody's loss.
    """

    least_heavy: int = 2
    most_heavy: int = 256
    headroom: float = 0.3
    light: int = 256
    queue: int = 256
    target_delay: float = 0.1
    interval: float = 0.5
    own: int = 2


class Gate:
    """Lets work in by its class and priority.

    Attributes:
        heavy_line: where heavy work waits; who sees a request first can ask there whether it is worth while to look at it.

    Args:
        options: what is done at once.
        registry: where its pipelines are entered.
    """

    def __init__(self, options: GateOptions, registry: Registry | None = None) -> None:
        self._own = options.own
        self._under_way: Counter[str] = Counter()
        least, most = options.least_heavy, max(options.most_heavy, options.least_heavy)
        search = Gradient2(headroom=options.headroom)
        finder = AdaptiveLimit(search, initial=least, min_limit=least, max_limit=most, min_samples=_LOOK_AFTER)
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
            return await self._pipelines[work].call(do)


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
