"""What an algorithm is: a pure function from a state and a sample to the next state."""

from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from sengol_api.resilience.adaptive.sample import Sample


class LimitState(Protocol):
    """What an algorithm remembers."""

    @property
    def limit(self) -> float:
        """Calls at once that it allows now; the enforcement takes the whole ones, and at least one."""
        ...


class OnlyLimit(NamedTuple):
    """State of an algorithm that remembers nothing else."""

    limit: float


S = TypeVar("S", bound=LimitState)


@runtime_checkable
class LimitAlgorithm(Protocol[S]):
    """Finds the number of calls that a service can do at once."""

    def start(self, limit: float) -> S:
        """The state before any sample."""
        ...

    def update(self, state: S, sample: Sample, least: float, most: float) -> S:
        """The state after one more window, its limit from ``least`` to ``most``."""
        ...


def clamped(limit: float, least: float, most: float) -> float:
    """``limit``, but from ``least`` to ``most``."""
    return max(least, min(most, limit))
