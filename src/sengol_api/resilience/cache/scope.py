"""What a caller may say to, and hear from, the caches inside a block: skip them, and where a value came from."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class CacheSource(StrEnum):
    """Where a value came from."""

    FRESH = "fresh"
    """The cache, or the tier behind it, within its time to live."""
    STALE = "stale"
    """The cache, past its time to live, inside one of the stale windows."""
    MISS = "miss"
    """The call itself."""
    COALESCED = "coalesced"
    """A call that another caller had started."""


@dataclass(slots=True)
class CacheOutcome:
    """How the last cached call inside a block was answered.

    Attributes:
        source: where its value came from; None while no call has returned one, and after one that raised.
        age: seconds since the value was made; 0 for one that was made by this call.
    """

    source: CacheSource | None = None
    age: float = 0.0

    def note(self, source: CacheSource | None, age: float = 0.0) -> None:
        """Remember how a call was answered."""
        self.source, self.age = source, age


@dataclass(frozen=True, slots=True)
class Scope:
    """What holds in a context.

    Attributes:
        skip: whether to read nothing.
        outcome: who wants to know.
    """

    skip: bool
    outcome: CacheOutcome | None


_present: ContextVar[Scope | None] = ContextVar("cache_scope", default=None)
present = _present.get
"""The scope in force, or None. One look for both questions: it is asked at every hit."""


@contextmanager
def skip_cache() -> Iterator[None]:
    """Inside, caches read nothing: each call is made, alone, and its result is written."""
    outer = present()
    token = _present.set(Scope(skip=True, outcome=None if outer is None else outer.outcome))
    try:
        yield
    finally:
        _present.reset(token)


@contextmanager
def cache_outcome() -> Iterator[CacheOutcome]:
    """Learn where values came from.

    ::

        with cache_outcome() as outcome:
            hits = await search.call(client.query, "text")
        label = outcome.source     # fresh, stale, miss or coalesced

    It is written when a call returns, by the outermost cache that the call went through. Tasks that are started inside write to the
    same outcome: use one block for each call whose outcome matters.
    """
    outer = present()
    outcome = CacheOutcome()
    token = _present.set(Scope(skip=outer is not None and outer.skip, outcome=outcome))
    try:
        yield outcome
    finally:
        _present.reset(token)


def leave_scope() -> None:
    """Forget the scope in the present context: for work that is done for more than one caller."""
    _present.set(None)
