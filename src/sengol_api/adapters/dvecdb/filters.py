"""Which records a search may find. The server ignores filters, so they are applied here."""

import hashlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from sengol_api.adapters.dvecdb.records import Records
from sengol_api.resilience import cache_key

Filter: TypeAlias = Mapping[str, Any] | AbstractSet[str] | None
"""``{"severity": ["high", "critical"], "country": "DE"}``: every fact must be the given value, or one of a list of values; a fact
that is a list itself must have one of them. Or a set of ids. Or None, for all."""

_PLAIN: Final = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Condition:
    """A filter, checked.

    Attributes:
        key: the same for the same filter, in every process.
        allowed: the only ids; None for any.
        wanted: values that a fact may have, by its name.
    """

    key: str
    allowed: frozenset[str] | None = None
    wanted: Mapping[str, Sequence[Any]] | None = None

    @property
    def admits_all(self) -> bool:
        """Whether there is nothing to look at."""
        return self.allowed is None and not self.wanted

    async def admitted(self, ids: Sequence[str], records: Records) -> list[bool]:
        """Whether each of some ids is let through."""
        if self.allowed is not None:
            return [key in self.allowed for key in ids]
        wanted = self.wanted
        if not wanted:
            return [True] * len(ids)
        facts = await records.metadata(ids)
        return [key in facts and all(_has(facts[key].get(name), values) for name, values in wanted.items()) for key in ids]


ALL: Final = Condition("")
"""No filter."""


def condition_of(given: Filter) -> Condition:
    """A filter, checked.

    Raises:
        ValueError: it is none; the text says what is.
    """
    if given is None:
        return ALL
    if isinstance(given, AbstractSet):
        allowed = frozenset(given)
        if not all(isinstance(each, str) for each in allowed):
            raise ValueError("a filter that is a set takes ids, which are texts")
        return Condition(_key_of_ids(allowed), allowed=allowed)
    if not isinstance(given, Mapping):
        raise ValueError(f"a filter is a mapping of facts, a set of ids, or None, not a {type(given).__name__}")  # noqa: TRY004
    wanted = {str(name): _values(str(name), value) for name, value in given.items()}
    return Condition(cache_key({name: sorted(values, key=repr) for name, values in wanted.items()}), wanted=wanted)


def _values(name: str, value: object) -> list[Any]:
    values = list(value) if isinstance(value, list | tuple | AbstractSet) else [value]
    wrong = next((each for each in values if not isinstance(each, _PLAIN)), None)
    if wrong is not None:
        raise ValueError(
            f"the filter on {name!r} takes texts, numbers, booleans, None, or a list of these, not a {type(wrong).__name__}"
        )
    return values


def _has(fact: object, values: Sequence[Any]) -> bool:
    if isinstance(fact, list | tuple | AbstractSet):
        return any(_same(each, value) for each in fact for value in values)
    return any(_same(fact, value) for value in values)


def _same(fact: object, value: object) -> bool:
    return bool(fact == value) and isinstance(fact, bool) == isinstance(value, bool)  # 1 is not true


@lru_cache(maxsize=16)
def _key_of_ids(ids: frozenset[str]) -> str:
    """Of a set of ids; nearly every search allows the same."""
    digest = hashlib.sha256()
    for each in sorted(ids):
        digest.update(f"{len(each)} {each}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
