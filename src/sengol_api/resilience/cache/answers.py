"""What a call gives, and what a shared call gives to all who wait for it."""

from dataclasses import dataclass
from typing import Any

from sengol_api.resilience.cache.copies import Copy
from sengol_api.resilience.cache.scope import CacheSource


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gives.

    Attributes:
        value: to hand out.
        source: where it came from.
        age: seconds since it was made.
    """

    value: Any
    source: CacheSource
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a shared call gave.

    Attributes:
        answer: for the caller who started it.
        held: what copies for the others are made from.
        thaw: makes them; None when ``held`` is handed out itself.
        shareable: whether it can be given to the others at all.
        ttl: its time to live in seconds; 0 when it is not kept.
    """

    answer: Answer
    held: Any = None
    thaw: Copy | None = None
    shareable: bool = False
    ttl: float = 0.0

    def copied(self) -> Answer | None:
        """The answer for another caller, or None if there can be none."""
        if not self.shareable:
            return None
        try:
            value = self.held if self.thaw is None else self.thaw(self.held)
        except Exception:  # noqa: BLE001 - what cannot be copied is not shared
            return None
        return Answer(value, CacheSource.COALESCED, self.answer.age)
