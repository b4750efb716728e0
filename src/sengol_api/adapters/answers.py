"""Answers to reviews: kept, shared by those who ask the same, and given in time whatever fails."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from sys import getsizeof
from typing import Any, Final, Literal

from sengol_api.adapters.ladder import reason_of
from sengol_api.adapters.token_budget import charged_to
from sengol_api.resilience import Cache, CacheSource, Clock, Fallback, Pipeline, Registry, cache_outcome, deadline, remaining
from sengol_api.resilience import skip_cache as past_the_cache
from sengol_api.resilience.cache.policy import CachePolicy
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.generate import GenerateQuestions
from sengol_api.review.generated import Generated, OnProgress, Outcome, Progress, unheard
from sengol_api.review.provenance import Degradation

NAME: Final = "review"
RESERVE: Final = 0.2
DEGRADED_TTL: Final = 15.0
DAY: Final = 86_400.0
BYTES_PER_QUESTION: Final = 2_400
"""What a question takes in memory beside its own words: an answer of 75 questions was measured at 190 kB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersOptions:
    """How long finished answers are kept.

    Attributes:
        enabled: whether they are kept at all; those who ask at the same time share one answer in any case.
        entries: so many at most.
        size: bytes that all of them may take together, about; None for as many as they take.
        ttl: seconds that each is good for. One that had to do without something is good for 15 s: long enough to spare what is
            left in an outage, and forgotten soon after it.
        stale: seconds past its end in which one is served when there is no new one.
    """

    enabled: bool = True
    entries: int = 1000
    size: int | None = None
    ttl: float = 3600.0
    stale: float = DAY


class Answers:
    """The main job as the HTTP face calls it: ``GenerateQuestions`` under policies.

    Identical requests share one piece of work, and its steps are told to all who wait for it. A fifth of the caller's time is
    kept back: when the work has not ended by then, or has failed, an answer from evidence alone is made in this process.

    Args:
        work: the main job.
        options: of the cache.
        registry: where the pipeline is entered.
        clock: whose time counts.
        on_served: is told of each rung that an answer was made from: dependency, rung.
    """

    def __init__(
        self,
        work: GenerateQuestions,
        options: AnswersOptions,
        *,
        registry: Registry | None = None,
        clock: Clock = SYSTEM_CLOCK,
        on_served: Callable[[str, str], None] = lambda _dependency, _rung: None,
    ) -> None:
        self._work = work
        self._options = options
        self._clock = clock
        self._on_served = on_served
        self._watchers: dict[str, list[OnProgress]] = {}
        self._by_evidence: dict[str, Generated] = {}
        self.pipeline = Pipeline(
            NAME,
            Fallback({"evidence": self._from_evidence}, reserve=RESERVE),
            Cache(
                max_entries=options.entries,
                max_bytes=options.size,
                ttl=options.ttl,
                ttl_of=self._ttl_of,
                stale_if_error=options.stale if options.enabled else 0.0,
                key=lambda asked: asked.key,
                copy=lambda kept: kept,  # nobody changes an answer: it is only read
                size_of=lambda kept: size_of(kept.generated),
            ),
            clock=clock,
        )
        self._cache: CachePolicy = self.pipeline["cache"]
        if registry is not None:
            registry.add(self.pipeline)

    async def __call__(
        self,
        request: ReviewRequest,
        *,
        user_id: str | None = None,
        on_progress: OnProgress = unheard,
        skip_cache: bool = False,
    ) -> Outcome:
        """See the port."""
        started = time.perf_counter()
        as_of = self._work.today()
        asked = _Asked(self._work.key(request, as_of), request, as_of, user_id, remaining())
        with self._watched(asked.key, on_progress), cache_outcome() as found, past_the_cache() if skip_cache else nullcontext():
            served: Any = await self.pipeline.call(self._make, asked)
        generated: Generated = served.value.generated
        made_now = found.source in {CacheSource.MISS, None}  # those who shared it sent nothing
        if made_now:
            self._count(generated)
        elif found.source is not CacheSource.COALESCED:
            on_progress(Progress("done", len(generated.questions), len(generated.questions)))
        milliseconds = (time.perf_counter() - started) * 1000
        return Outcome(generated, _CACHE.get(found.source, "miss"), milliseconds, generated.upstream_calls if made_now else 0)

    def at_hand(self, request: ReviewRequest) -> bool:
        """Whether the answer is kept in this process, so that it would be given at once."""
        return self._cache.holds(self._work.key(request, self._work.today()))

    @contextmanager
    def _watched(self, key: str, on_progress: OnProgress) -> Iterator[None]:
        watchers = self._watchers.setdefault(key, [])
        watchers.append(on_progress)
        try:
            yield
        finally:
            watchers.remove(on_progress)
            if not watchers:
                del self._watchers[key]
                self._by_evidence.pop(key, None)

    async def _make(self, asked: "_Asked") -> "_Kept":
        """The work, which several may wait for: it has the time of the one that asked first."""

        def tell(progress: Progress) -> None:
            for watcher in tuple(self._watchers.get(asked.key, ())):
                watcher(progress)

        in_time = nullcontext() if asked.seconds is None else deadline(asked.seconds * (1 - RESERVE), clock=self._clock)
        with in_time, charged_to(asked.user_id):
            keep = partial(self._by_evidence.__setitem__, asked.key)
            return _Kept(await self._work(asked.request, as_of=asked.as_of, on_progress=tell, on_evidence=keep))

    async def _from_evidence(self, asked: "_Asked", *, error: Exception) -> "_Kept":
        """What the work had before it asked a model, if it came so far; else it is made now."""
        degraded = Degradation(NAME, "evidence", f"the assisted answer was not ready: {reason_of(error)}")
        found = self._by_evidence.get(asked.key)
        if found is not None:
            served = (*found.served, (NAME, ("evidence",)))
            return _Kept(replace(found, degraded=(*found.degraded, degraded), served=served))
        return _Kept(await self._work.from_evidence(asked.request, as_of=asked.as_of, degraded=degraded))

    def _ttl_of(self, kept: "_Kept") -> float | None:
        if not self._options.enabled:
            return 0.0
        return DEGRADED_TTL if kept.generated.degraded else None

    def _count(self, generated: Generated) -> None:
        for dependency, rungs in generated.served:
            for rung in rungs:
                self._on_served(dependency, rung)


def size_of(generated: Generated) -> int:
    """Bytes that an answer takes in memory, about. What the catalogue and the corpus hold anyway is left out."""
    own = sum(BYTES_PER_QUESTION + getsizeof(each.text) + getsizeof(each.importance) for each in generated.questions)
    return own + getsizeof(generated.facts.description)


class _Kept:
    """An answer as the cache has it: in a wrapping, or it would look at thousands of parts for one that could be changed."""

    __slots__ = ("generated",)

    def __init__(self, generated: Generated) -> None:
        self.generated = generated


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request on its way through the pipeline.

    Attributes:
        user_id: who pays for it.
        seconds: the time that its caller had; None for no bound.
    """

    key: str
    request: ReviewRequest
    as_of: dt.date
    user_id: str | None
    seconds: float | None


_CACHE: Final[dict[CacheSource | None, Literal["hit", "stale", "miss"]]] = {
    CacheSource.FRESH: "hit",
    CacheSource.STALE: "stale",
}
