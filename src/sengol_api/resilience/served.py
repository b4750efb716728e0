"""Where an answer came from, and what went wrong before it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

PRIMARY = "primary"
"""The label of the work itself."""

_NONE: Mapping[str, Exception] = MappingProxyType({})


class Served(NamedTuple, Generic[T]):
    """An answer, and where it came from. The result of every pipeline that has a fallback.

    Attributes:
        value: the answer.
        by: the label of the alternative that gave it; ``"primary"`` for the work itself.
        errors: of those that were asked before, by their labels, in that order.
    """

    value: T
    by: str
    errors: Mapping[str, Exception] = _NONE


def fallback_errors(error: BaseException) -> Mapping[str, Exception]:
    """The errors of the alternatives, by label, behind one that a fallback had no answer to; empty for any other."""
    errors: Mapping[str, Exception] = getattr(error, "__fallback__", _NONE)
    return errors


def attach(failures: dict[str, Exception], error: Exception) -> None:
    """Record what the alternatives raised on the error of the work, without a reference from them back to it."""
    first = not fallback_errors(error)
    failures = {label: each for label, each in failures.items() if each is not error}
    for each in failures.values():
        _unlink(each, error)
    try:
        error.__fallback__ = MappingProxyType(failures)  # type: ignore[attr-defined]
    except AttributeError:  # a class with slots: it can say nothing more
        return
    if first and failures:
        error.add_note("no alternative had an answer: " + "; ".join(f"{label}: {each!r}" for label, each in failures.items()))


def _unlink(failure: BaseException, error: Exception) -> None:
    seen = set()
    link: BaseException | None = failure
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if link.__context__ is error:
            link.__context__ = None
        link = link.__context__
