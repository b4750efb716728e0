"""Options as data: default, allowed range, unit and meaning of each in one place."""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from sengol_api.resilience.errors import OptionsError


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which values an option takes, in words and as a check."""

    words: str
    accepts: Callable[[Any], bool]

    def or_none(self) -> "Allowed":
        """The same, or None."""
        return Allowed(f"{self.words}, or None", lambda value: value is None or self.accepts(value))


def _is_number(value: object) -> bool:
    # Compared, not converted: no int is too large for that, and a NaN is in no range.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def whole(least: int, most: int | None = None) -> Allowed:
    """Whole numbers from ``least`` on, to ``most`` if given."""
    return Allowed(
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least and (most is None or value <= most),
    )


def between(least: float, most: float) -> Allowed:
    """Finite numbers from ``least`` to ``most``."""
    return Allowed(f"a number from {least:g} to {most:g}", lambda value: _is_number(value) and least <= value <= most)


def at_least(least: float) -> Allowed:
    """Finite numbers from ``least`` on."""
    return Allowed(f"a number of at least {least:g}", lambda value: _is_number(value) and value >= least)


def above(bound: float) -> Allowed:
    """Finite numbers above ``bound``."""
    return Allowed(f"a number above {bound:g}", lambda value: _is_number(value) and value > bound)


def one_of(*values: str) -> Allowed:
    """One of some words."""
    return Allowed("one of " + ", ".join(values), lambda value: isinstance(value, str) and value in values)


def instance(*types: type) -> Allowed:
    """Objects of some types."""
    names = " or ".join(each.__name__ for each in types)
    article = "an" if names.startswith(tuple("AEIO")) else "a"
    return Allowed(f"{article} {names}", lambda value: isinstance(value, types))


def is_plain(value: object) -> bool:
    """Whether it can be called for an answer: a coroutine function gives a coroutine, which is true whatever it would say."""
    return callable(value) and not any(map(inspect.iscoroutinefunction, (value, type(value).__call__)))


YES, NO = True, False
YES_OR_NO = instance(bool)
FUNCTION = Allowed("a plain function", is_plain)


def option(default: Any, allowed: Allowed, meaning: str, unit: str = "") -> Any:
    """A field of an options dataclass.

    Args:
        default: its value when none is given; ``...`` when one must be given.
        allowed: which values it takes.
        meaning: what it does, for the reference in the documentation.
        unit: of the value, ``"s"`` for seconds.
    """
    metadata = {"allowed": allowed, "meaning": meaning, "unit": unit}
    if default is ...:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Options:
    """Base of all options: frozen, and checked when built; all problems are told at once."""

    def __post_init__(self) -> None:
        problems = [
            f"{field.name}={getattr(self, field.name)!r} is not allowed, it takes {field.metadata['allowed'].words}"
            for field in dataclasses.fields(self)
            if not field.metadata["allowed"].accepts(getattr(self, field.name))
        ]
        problems = problems or list(self.contradictions())
        if problems:
            raise OptionsError(type(self).__name__, problems)

    def contradictions(self) -> Iterator[str]:
        """What is wrong with options that are right one by one. Asked only when each of them is."""
        return iter(())

    def changed(self, **changes: Any) -> Self:
        """The same options with some changed, checked again."""
        unknown = sorted(changes.keys() - {field.name for field in dataclasses.fields(self)})
        if unknown:
            known = ", ".join(field.name for field in dataclasses.fields(self))
            raise OptionsError(type(self).__name__, [f"there is no option {', '.join(unknown)}; there are {known}"])
        return dataclasses.replace(self, **changes)
