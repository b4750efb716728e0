"""What of an event may be told in a log or on a span: by a list of fields, since others may bear content."""

from enum import Enum
from typing import Final

from sengol_api.observability.withheld import kind_of
from sengol_api.resilience import Event

TOLD: Final = frozenset(
    "age attempt attempts before bound by_deadline cooldown delay generation label latency limit observed operation previous "
    "queued reason retry_after size state took what".split()
)
"""Fields that bear numbers, and words of the program."""

WITHHELD: Final = frozenset({"key"})
"""Fields that may bear what a caller sent."""

ELSEWHERE: Final = frozenset({"pipeline", "policy", "at", "error"})
"""Fields that are told in another way: of an error, its kind."""


def facts_of_event(event: Event) -> dict[str, str | int | float | bool]:
    """The fields of an event that may be told, and the kind of its error."""
    facts: dict[str, str | int | float | bool] = {"policy": event.policy}
    for name in event.__dataclass_fields__:
        if name in TOLD:
            value = getattr(event, name)
            if isinstance(value, Enum):
                value = value.value
            if isinstance(value, str | int | float):
                facts[name] = value
    error = getattr(event, "error", None)
    if isinstance(error, BaseException):
        facts["error"] = kind_of(error)
    return facts
