"""States of a circuit breaker, its events and its snapshot."""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from sengol_api.resilience.events import Event


class CircuitState(StrEnum):
    """What a circuit breaker does with calls."""

    CLOSED = "CLOSED"
    """Lets all through and watches them."""
    OPEN = "OPEN"
    """Rejects all until its time is over."""
    HALF_OPEN = "HALF_OPEN"
    """Lets a few probes through."""
    ISOLATED = "ISOLATED"
    """Rejects all until a person says otherwise."""
    DISABLED = "DISABLED"
    """Lets all through and watches nothing."""


class Cause(Enum):
    """Who changed the state of a circuit breaker."""

    CALLS = auto()
    """The calls through it."""
    HAND = auto()
    """A person, or a program on its behalf."""
    REPLICA = auto()
    """Another replica of the service, whose breaker did it."""


class Standing(NamedTuple):
    """How a circuit breaker stands, for those who share it."""

    state: CircuitState
    generation: int
    cause: Cause
    seconds: float
    """Until the first probe; of an open one only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitChanged(Event):
    """A circuit breaker changed its state.

    Attributes:
        previous: state before.
        state: state now.
        generation: number of the new state; results of calls from earlier ones are ignored.
        reason: why, in words.
        error: the failure that opened it, if one did.
        retry_after: seconds until the first probe, when open.
    """

    previous: CircuitState
    state: CircuitState
    generation: int
    reason: str
    error: Exception | None
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class CircuitBreakerSnapshot:
    """State and statistics of a circuit breaker.

    Attributes:
        state: CLOSED, OPEN, HALF_OPEN, ISOLATED or DISABLED.
        failure_count: failures counted since it got into this state.
        recent_failures: failures that its window holds now (the last ones before it opened, while it is open).
        success_count: successes counted since it got into this state: of probes, when half-open.
        rejected: calls that it refused, in all.
        probes: probes that are under way.
        next_attempt: when it will let a probe through, in seconds since the epoch, for display; None unless it is open.
        retry_after: the same as seconds from now.
        generation: number of changes of state.
        since: when it got into this state, in seconds since the epoch, for display.
    """

    state: CircuitState
    failure_count: int
    recent_failures: int
    success_count: int
    rejected: int
    probes: int
    next_attempt: float | None
    retry_after: float | None
    generation: int
    since: float
