"""Forms of values and names of keys, and a cache that is changed by hand."""

import functools
import random
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import pytest

from sengol_api.resilience.cache.copies import pack
from sengol_api.resilience.cache.envelope import Enclosed, seal, to_json, unseal
from sengol_api.resilience.cache.keys import _spell, call_key, canonical, name_of
from support.toolkit.cache_edges import Caller

# By hand


def test_a_key_of_several_parts_is_invalidated_as_it_was_put():
    cached = Caller("sync")
    cached.cache.put(("a", 2.0), "value")
    assert cached.cache.invalidate(("a", 2.0))
    cached.close()


def test_putting_what_cannot_be_kept_removes_what_was_there():
    def copied(value):
        if value == ["bad"]:
            raise ValueError("no copy of this")
        return list(value)

    cached = Caller("sync", copy=copied)
    cached.cache.put("a", ["good"])
    cached.cache.put("a", ["bad"])
    assert cached.cache.get("a") is None
    cached.close()


# Copies and forms


def test_a_tuple_is_as_changeable_as_the_most_changeable_of_its_parts():
    value = (1, [2])
    held, thaw = pack(value, None)
    value[1].append(3)
    assert thaw(held) == (1, [2])


def test_texts_are_written_for_the_tier_as_short_as_they_are():
    assert to_json("ü") == '"ü"'.encode()


def test_an_entry_of_the_tier_is_read_and_written_only_if_it_is_one():
    with pytest.raises(ValueError, match="the tier gave a str, not bytes"):
        unseal("name", "text")
    with pytest.raises(ValueError, match="JSON"):
        seal("name", Enclosed(b"", float("nan"), 1.0, 1.0))


# Keys


def test_functions_of_one_name_around_different_ones_have_different_keys():
    def query():
        """What both are named after."""

    query.__qualname__ = "query"

    def wrapped(number):
        @functools.wraps(query)
        def around():
            return number

        return around

    one, other = wrapped(1), wrapped(2)
    assert call_key(one, (), {}) != call_key(other, (), {})
    assert call_key(one, (one,), {}) != call_key(one, (other,), {})
    assert call_key(one, (), {}) == call_key(one, (), {})


class Pair(tuple):
    """A tuple with something of its own, of which a key would know nothing."""

    __slots__ = ()


@dataclass(frozen=True)
class Fields:
    value: int
    _fields: ClassVar[tuple[str, ...]] = ("not", "a", "named", "tuple")


def test_only_a_named_tuple_is_taken_for_one():
    with pytest.raises(TypeError, match="no cache key"):
        canonical(Pair((1, 2)))
    assert canonical(Fields(1)) == canonical(Fields(1)) != canonical(Fields(2))


class Colour(Enum):
    RED = 1

    def describe(self):
        return self.name


def test_a_method_of_an_enum_has_a_name_everywhere_and_one_of_an_object_has_none():
    class Local:
        def ask(self):
            """Something."""

    assert name_of(call_key(Colour.RED.describe, (), {})) is not None
    assert name_of(call_key(Local().ask, (), {})) is None
    assert name_of(canonical(Local)) is None


def test_the_name_of_a_set_does_not_depend_on_its_order():
    chance = random.Random(1)
    for _ in range(200):
        words = [str(chance.random()) for _ in range(6)]
        assert name_of(canonical(frozenset(words))) == name_of(canonical(frozenset(reversed(words))))


def test_a_text_that_is_spelled_like_another_key_has_another_name():
    spelled = []
    assert _spell(canonical((1, "a")), spelled)
    assert name_of("".join(spelled)) != name_of(canonical((1, "a")))
