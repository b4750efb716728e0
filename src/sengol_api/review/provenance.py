"""What a result was made from: which rung of each ladder served, why not a better one, and how many calls went out for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

FRESH = "fresh"
"""The rung on which nothing is missing."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """A dependency that did not serve as it should.

    Attributes:
        dependency: whose ladder it is: ``embeddings``, ``search``, ``model``.
        served: the rung that served: ``cached``, ``stale``, ``embedded``, ``local``, ``evidence``.
        reason: why none above it did, in words that may be shown.
    """

    dependency: str
    served: str
    reason: str


class Provenance:
    """Collects while one piece of work is done."""

    def __init__(self) -> None:
        self._served: dict[str, dict[str, None]] = {}
        self._degraded: dict[Degradation, None] = {}
        self.calls = 0
        """Requests that were sent to other services."""

    def note(self, dependency: str, served: str, reason: str = "") -> None:
        """A rung has served. With a reason it counts as degraded."""
        self._served.setdefault(dependency, {})[served] = None
        if reason:
            self._degraded[Degradation(dependency, served, reason)] = None

    @property
    def degraded(self) -> tuple[Degradation, ...]:
        """What was not as it should be, by dependency and rung; empty when all was."""
        return tuple(sorted(self._degraded, key=lambda each: (each.dependency, each.served, each.reason)))

    @property
    def served(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The rungs that served, by dependency."""
        return tuple((dependency, tuple(sorted(rungs))) for dependency, rungs in sorted(self._served.items()))


_current: ContextVar[Provenance | None] = ContextVar("provenance", default=None)


@contextmanager
def collect() -> Iterator[Provenance]:
    """Collect what the work inside, and the tasks that it starts, are made from."""
    provenance = Provenance()
    token = _current.set(provenance)
    try:
        yield provenance
    finally:
        _current.reset(token)


def note(dependency: str, served: str, reason: str = "") -> None:
    """Say which rung served, to whoever collects."""
    provenance = _current.get()
    if provenance is not None:
        provenance.note(dependency, served, reason)


def calls_so_far() -> int:
    """Requests that were sent since somebody began to collect."""
    provenance = _current.get()
    return 0 if provenance is None else provenance.calls


def count_call() -> None:
    """A request is sent to another service: say so to whoever collects."""
    provenance = _current.get()
    if provenance is not None:
        provenance.calls += 1
