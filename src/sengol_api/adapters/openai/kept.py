"""Answers that are kept, and shared by all who ask for the same at the same time."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Generic, NamedTuple, TypeVar

from sengol_api.adapters.openai.answers import Reply, Source
from sengol_api.adapters.openai.chain import failure_of
from sengol_api.adapters.openai.errors import LateAnswerError, ModelError
from sengol_api.adapters.openai.run import Run
from sengol_api.resilience import (
    CacheSource,
    Pipeline,
    Rejected,
    StaleServed,
    TimedOut,
    cache_outcome,
    deadline,
    remaining,
    skip_cache,
)

T = TypeVar("T")
Make = Callable[[Run], Awaitable[T]]

_SOURCES: dict[CacheSource | None, Source] = {CacheSource.FRESH: "cached", CacheSource.STALE: "stale"}
_MARGIN = 0.05  # of the caller's deadline, by which the shared work ends before it: it has to see its own end

_reason: ContextVar[list[str] | None] = ContextVar("openai_stale_reason", default=None)


class Found(NamedTuple, Generic[T]):
    """An answer, and where it came from.

    Attributes:
        value: the answer.
        source: ``fresh``, ``cached`` or ``stale``.
        reason: why it is stale; empty otherwise.
        age: seconds since it was made.
    """

    value: T
    source: Source
    reason: str
    age: float


def told(found: Found[Reply], run: Run) -> dict[str, Any]:
    """What callers get of it, by the names of :class:`ChatAnswer`."""
    reply = found.value
    return {
        "text": reply.text,
        "model": reply.model,
        "provider": reply.provider,
        "usage": reply.usage,
        "source": found.source,
        "reason": found.reason,
        "age": found.age,
        "calls": run.calls,
    }


class Kept(Generic[T]):
    """Work behind a cache.

    The cache runs shared work apart from its callers and without their deadlines. So that a provider which is silent is noticed,
    and its breaker learns of it, the work is given the deadline of the caller who began it. Whoever joined with more time left
    begins anew when that was over too soon.

    Args:
        pipeline: that holds the cache alone, with the key as the first argument of a call for its key.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        pipeline.subscribe(_remember, StaleServed)

    async def answer(self, key: str, make: Make[T], run: Run, *, skip: bool = False) -> Found[T]:
        """The answer under a key, or a new one.

        Args:
            key: of everything that changes the answer.
            make: makes a new one.
            run: of the caller.
            skip: whether to make a new one in any case.

        Raises:
            ModelError: there is none, and no old one that may still be served.
        """
        reasons: list[str] = []
        token = _reason.set(reasons)
        try:
            with skip_cache() if skip else nullcontext(), cache_outcome() as outcome:
                value = await self._together(key, make, run)
                source = _SOURCES.get(outcome.source, "fresh")
                return Found(value, source, reasons[-1] if reasons and source == "stale" else "", outcome.age)
        finally:
            _reason.reset(token)

    async def _together(self, key: str, make: Make[T], run: Run) -> T:
        while True:
            run.left = remaining()
            try:
                return await self.pipeline.call(self._made, key, make, run)
            except LateAnswerError as error:
                if run.started or not error.by_deadline or remaining() == 0:
                    raise
            except (Rejected, TimedOut) as error:
                failure: ModelError = failure_of({"the work that this call had joined": error})
                raise failure from None

    async def _made(self, _: str, make: Make[T], run: Run) -> T:
        run.started = True
        if run.left is None:
            return await make(run)
        with deadline(run.left * (1.0 - _MARGIN), clock=self.pipeline.clock):
            return await make(run)


def _remember(event: Any) -> None:  # noqa: ANN401 - a StaleServed
    """Told in the task of the caller who is served the stale value."""
    reasons = _reason.get()
    if reasons is not None:
        reasons.append("a new one is on its way" if event.error is None else str(event.error))
