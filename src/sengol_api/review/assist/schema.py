"""The form of the model's answer, and its reading: whatever comes, nothing raises and nothing is taken that has another form."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

LONGEST_TEXT: Final = 1_000
MOST_ITEMS: Final = 60
MOST_NAMES: Final = 100

_TEXT: Final = {"type": "string"}
_NAMES: Final = {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


# The same for every request, without the ids of this one: a provider compiles a schema that it sees for the first time,
# which takes seconds, and in strict mode it refuses bounds such as maxLength.
SCHEMA: Final[Mapping[str, Any]] = _object(
    order=_NAMES,
    add=_NAMES,
    items={
        "type": "array",
        "items": _object(
            area=_TEXT, question=_TEXT, importance=_TEXT, cites=_NAMES, mitigations={"type": "array", "items": {"type": "integer"}}
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Item:
    """What the model wrote for an area; a text is None where it wrote none that can be read."""

    area: str
    question: str | None
    importance: str | None
    cites: tuple[str, ...]
    mitigations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """An answer in the right form; nothing in it is checked yet."""

    order: tuple[str, ...] = ()
    add: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()


def parse(value: object) -> tuple[Suggestions, tuple[str, ...]]:
    """Read an answer.

    Args:
        value: decoded JSON, or anything else.

    Returns:
        What has the right form, and a sentence for each thing that has not.
    """
    if not isinstance(value, dict):
        return Suggestions(), ("The answer must be an object with order, add and items.",)
    problems: list[str] = []
    lists: dict[str, list[Any]] = {}
    for name, most in (("order", MOST_NAMES), ("add", MOST_NAMES), ("items", MOST_ITEMS)):
        found = value.get(name)
        if not isinstance(found, list):
            problems.append(f"{name} must be a list.")
            found = []
        elif len(found) > most:
            problems.append(f"{name} has more than {most} entries.")
        lists[name] = found[:most]
    return (
        Suggestions(tuple(_strings(lists["order"])), tuple(_strings(lists["add"])), tuple(_items(lists["items"], problems))),
        tuple(problems),
    )


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield from (entry for entry in islice(value, MOST_NAMES) if isinstance(entry, str) and len(entry) <= LONGEST_TEXT)


def _items(entries: list[Any], problems: list[str]) -> Iterator[Item]:
    for place, entry in enumerate(entries):
        area = entry.get("area") if isinstance(entry, dict) else None
        if not isinstance(area, str) or len(area) > LONGEST_TEXT:
            problems.append(f"items[{place}] must be an object that names an area.")
            continue
        positions = entry.get("mitigations")
        numbers = positions[:MOST_NAMES] if isinstance(positions, list) else []
        yield Item(
            area,
            _text(entry.get("question")),
            _text(entry.get("importance")),
            tuple(_strings(entry.get("cites"))),
            tuple(number for number in numbers if type(number) is int),
        )


def _text(value: object) -> str | None:
    return value.strip() if isinstance(value, str) and len(value) <= LONGEST_TEXT else None
