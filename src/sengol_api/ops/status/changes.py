"""What the circuit breakers of this worker went through, kept whether anybody looks or not."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from sengol_api.resilience import CircuitChanged

KEPT: Final = 20
"""Changes of each circuit breaker."""


@dataclass(frozen=True, slots=True)
class Change:
    """A circuit breaker changed its state.

    Attributes:
        at: when, in seconds since the epoch.
        previous: state before.
        state: state since then.
        reason: why, in words of the program.
        error: the class of the failure that opened it.
    """

    at: float
    previous: str
    state: str
    reason: str
    error: str | None = None


class Changes:
    """Hears the events of circuit breakers, and remembers the last ones of each."""

    def __init__(self) -> None:
        self._by_pipeline: dict[str, deque[Change]] = {}

    def heard(self, event: CircuitChanged) -> None:
        """Remember an event. Of its error only the class: the text may be anybody's."""
        error = None if event.error is None else type(event.error).__name__
        change = Change(event.at, str(event.previous), str(event.state), event.reason, error)
        self._by_pipeline.setdefault(event.pipeline, deque(maxlen=KEPT)).append(change)

    def to_json(self) -> dict[str, list[list[Any]]]:
        """All that is remembered, by pipeline, for another worker."""
        return {
            name: [[each.at, each.previous, each.state, each.reason, each.error] for each in list(changes)]
            for name, changes in list(self._by_pipeline.items())
        }
