"""Answers that are kept and shared, under deadlines that differ."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from sengol_api.adapters.dvecdb.lines import Found
from sengol_api.adapters.dvecdb.questions import Question
from sengol_api.resilience import Clock, Pipeline, TimedOut, deadline, remaining
from sengol_api.resilience import skip_cache as past_the_cache
from sengol_api.resilience.cache.scope import CacheOutcome, CacheSource, present
from sengol_api.resilience.deadline import current

HEADSTART: Final = 0.97
"""Share of the caller's time that a shared call gets, so that it ends, and is counted, before the caller leaves it."""


@dataclass(frozen=True, slots=True)
class Call:
    """How a question is to be answered.

    Attributes:
        line: the pipeline of its requests.
        skip_cache: make the call, whatever is kept.
    """

    line: Pipeline
    skip_cache: bool = False


@dataclass(slots=True)
class _Asked:
    """A question on its way through the cache; ``led`` when it was this one that made the call."""

    key: str
    question: Question
    line: Pipeline
    seconds: float | None
    led: bool = False


class Answers:
    """Answers from the cache, or made.

    A shared call runs apart from those who wait for it. Were it to know nothing of their time, a server that hangs would be left by
    one after the other, each leaving being a cancellation, and the circuit breaker would never learn of it. So the call has the
    time of the one who began it, and those who have more begin another one.

    Args:
        make: answers a question through a pipeline.
        cache: the pipeline of the cache; None for none.
        clock: whose time counts.
    """

    def __init__(self, make: Callable[[Question, Pipeline], Awaitable[Found]], cache: Pipeline | None, *, clock: Clock) -> None:
        self._make = make
        self._cache = cache
        self._clock = clock

    def kept(self, question: Question, index: str) -> Found | None:
        """An answer that is in the cache and fresh."""
        return None if self._cache is None else self._cache["cache"].get(question.key(index))

    async def get(self, question: Question, index: str, call: Call) -> Found:
        """The answer to a question.

        Args:
            question: what is looked for.
            index: what it is looked for in, for the key of the answer.
            call: how.
        """
        if self._cache is None:
            return await self._make(question, call.line)
        key = question.key(index)
        while True:
            asked = _Asked(key, question, call.line, _time_to_give())
            try:
                with past_the_cache() if call.skip_cache else nullcontext():
                    found: Found = await self._cache.call(self._led, asked)
            except TimedOut as error:
                if asked.led or not error.by_deadline or not remaining():
                    raise
            else:
                return found

    async def _led(self, asked: _Asked) -> Found:
        asked.led = True
        with nullcontext() if asked.seconds is None else deadline(asked.seconds, clock=self._clock):
            return await self._make(asked.question, asked.line)


def _time_to_give() -> float | None:
    """What a shared call may take; None for as long as its attempts do.

    A caller in a hurry gives no bound: that it leaves says nothing about the server.
    """
    now = current()
    if now is None:
        return None
    left = now.remaining()
    return left * HEADSTART if left >= now.total / 2 else None


_WORST_LAST: Final = (CacheSource.FRESH, CacheSource.COALESCED, CacheSource.MISS, CacheSource.STALE)


def note_worst(outcomes: Iterable[CacheOutcome]) -> None:
    """Tell whoever wants to know where several answers came from: of the one that is least to be relied on."""
    scope = present()
    known = [(_WORST_LAST.index(each.source), each.age, each.source) for each in outcomes if each.source is not None]
    if scope is not None and scope.outcome is not None and known:
        _, age, source = max(known)
        scope.outcome.note(source, age)
