"""Keys of the cache: equal for equal calls, different for different ones."""

import functools
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sengol_api.resilience.cache.keys import cache_key, call_key, canonical, name_of
from support.ids import stable


def search(*args, **kwargs):
    return args


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    ONE = "1"


@dataclass(frozen=True)
class Query:
    text: str
    k: int = 1


@dataclass(frozen=True)
class Other:
    text: str
    k: int = 1


@dataclass
class Loose:
    text: str


Point = namedtuple("Point", "x y")

DIFFERENT = [
    1,
    1.0,
    True,
    1 + 0j,
    Decimal(1),
    Decimal("1.0"),
    Fraction(1),
    Level.LOW,
    Colour.RED,
    "1",
    Word.ONE,
    b"1",
    0.0,
    -0.0,
    0,
    False,
    None,
    "",
    (),
    (1,),
    (True,),
    ((1,),),
    Point(1, 2),
    (1, 2),
    frozenset({1, 2}),
    frozenset({1.0, 2}),
    Query("a"),
    Query("a", 2),
    Other("a"),
    date(2026, 1, 1),
    datetime(2026, 1, 1),  # noqa: DTZ001 - a naive one is an argument like any other
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, fold=1),  # noqa: DTZ001
    time(1),
    timedelta(1),
    UUID(int=1),
    PurePosixPath("1"),
    int,
    float,
    search,
    len,
]


def test_values_that_python_calls_equal_are_different_arguments():
    keys = {call_key(search, (value,), {}) for value in DIFFERENT}
    assert len(keys) == len(DIFFERENT)
    names = {name_of(key) for key in keys}
    assert None not in names
    assert len(names) == len(DIFFERENT)


@pytest.mark.parametrize("value", DIFFERENT, ids=stable)
def test_the_same_argument_gives_the_same_key(value):
    assert call_key(search, (value,), {"a": value}) == call_key(search, (value,), {"a": value})
    assert canonical(value) == canonical(value)


def test_a_number_of_any_length_is_an_argument():
    assert call_key(search, (10**5000,), {}) != call_key(search, (10**5000 + 1,), {})
    assert canonical((10**5000,)) == canonical((10**5000,))


@pytest.mark.parametrize(("args", "kwargs"), [(("one", 1), {}), (("one",), {"k": 1}), ((), {"query": "one"})], ids=str)
def test_a_text_beside_other_arguments_counts(args, kwargs):
    other = [tuple("two" if each == "one" else each for each in args), {k: "two" if v == "one" else v for k, v in kwargs.items()}]
    assert call_key(search, args, kwargs) != call_key(search, *other)


def test_a_function_that_was_replaced_by_one_of_the_same_name_is_another():
    names = [{}, {}]
    for each in names:
        exec("def search(text): ...", each)
    assert call_key(names[0]["search"], ("a",), {}) != call_key(names[1]["search"], ("a",), {})


def test_the_order_of_keywords_does_not_matter():
    assert call_key(search, (), {"a": 1, "b": 2}) == call_key(search, (), {"b": 2, "a": 1})
    assert call_key(search, (), {"a": 1, "b": 2}) != call_key(search, (), {"a": 2, "b": 1})
    assert call_key(search, ("a",), {}) != call_key(search, (), {"a": "a"})


@pytest.mark.parametrize(
    "value", [[1], {"a": 1}, {1}, bytearray(b"x"), object(), Loose("a"), datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))]
)
def test_an_argument_without_a_canonical_form_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"argument 2 is a .*immutable"):
        call_key(search, ("text", value), {})
    with pytest.raises(TypeError, match=r"argument 'filter' is a .*key="):
        call_key(search, (), {"filter": (1, value)})
    with pytest.raises(TypeError, match="the key is a"):
        canonical(value)


def test_a_field_without_a_canonical_form_is_named():
    with pytest.raises(TypeError, match="argument 1, field 'text' is a list"):
        call_key(search, (Query(["a"]),), {})


def test_functions_are_told_apart():
    def maker(n):
        return lambda: n

    class Client:
        def query(self): ...

        @classmethod
        def make(cls): ...

    class Same(Client):
        def __eq__(self, other):
            return True

        __hash__ = None

    one, two = Client(), Client()
    first, second = maker(1), maker(2)
    functions = [
        search,
        len,
        first,
        second,
        one.query,
        two.query,
        Client.make,
        Same.make,
        Query("a").__eq__,
        Query("b").__eq__,
        one,
        two,
    ]
    functions += [functools.partial(search, 1), functools.partial(search, True), functools.partial(search, k=1)]
    assert len({call_key(each, (), {}) for each in functions}) == len(functions)
    assert call_key(one.query, (), {}) == call_key(one.query, (), {})
    with pytest.raises(TypeError, match="the object of the method is a"):
        call_key(Same().query, (), {})


def test_functions_that_a_decorator_made_have_no_name_of_their_own():
    def counted(function):
        @functools.wraps(function)
        def around(*args):
            return len(args), function(*args)

        return around

    one, other = counted(search), counted(search)
    assert one.__qualname__ == other.__qualname__ == "search"
    assert [name_of(call_key(each, ("a",), {})) for each in (one, other)] == [None, None]
    assert name_of(call_key(search, ("a",), {})) is not None


def test_only_what_means_the_same_everywhere_has_a_name():
    def local(): ...

    assert name_of(call_key(search, (1, "a", frozenset({2, 1})), {})) == name_of(call_key(search, (1, "a", frozenset({1, 2})), {}))
    assert name_of(call_key(local, (), {})) is None
    assert name_of(call_key(search, (frozenset({local}),), {})) is None
    assert name_of("a") != name_of(canonical(("a",)))
    assert len(name_of("\ud800")) == 64


def test_a_key_of_parts_is_a_digest_of_what_they_say():
    assert cache_key("search", "query", {"a": 1, "b": [1, None]}) == cache_key("search", "query", {"b": [1, None], "a": 1})
    assert len(cache_key()) == 64
    parts = [(1,), (1.0,), (True,), ("1",), ("a", "b"), ("ab",), (["a", "b"],), ({"a": {"b": 1}},), (None,), ("\ud800",), ()]
    assert len({cache_key(*each) for each in parts}) == len(parts)


def test_a_key_is_not_made_of_what_json_would_confuse():
    with pytest.raises(TypeError, match="the key 1 of a dict is no text"):
        cache_key({"a": [{1: "x"}]})
    with pytest.raises(TypeError, match=r"cache_key: .*set"):
        cache_key({1, 2})
    with pytest.raises(ValueError, match="cache_key"):
        cache_key(float("nan"))
    with pytest.raises(ValueError, match="cache_key"):
        cache_key([float("inf")])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(json_values, json_values)
def test_two_values_have_one_key_only_if_they_are_equal(one, other):
    if cache_key(one) == cache_key(other):
        assert one == other
    if one != other:
        assert cache_key(one) != cache_key(other)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=2) | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(plain_values, plain_values)
def test_canonical_keys_and_their_names_agree(one, other):
    assert (canonical(one) == canonical(other)) == (name_of(canonical(one)) == name_of(canonical(other)))
    if one != other:
        assert canonical(one) != canonical(other)
