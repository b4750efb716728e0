"""Keys: equal for equal calls, different for different ones."""

import functools
import hashlib
import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias
from uuid import UUID

Key: TypeAlias = Any
"""A canonical key: a text, or nested tuples of texts, bytes, types and functions. Compared and hashed without a line of Python."""

_AS_IT_IS = (str, bytes, type(None))
_BY_TEXT = (bool, complex, Decimal, Fraction, UUID, date, timedelta, PurePosixPath, PureWindowsPath)


_to_json = json.JSONEncoder(sort_keys=True, allow_nan=False, separators=(",", ":")).encode


def cache_key(*parts: Any) -> str:
    """A key for JSON-like values: the SHA-256 of their canonical JSON.

    ::

        Cache(key=lambda query, filter=None: cache_key("search", query, filter))

    What JSON writes alike is alike (a tuple and a list); the order of an object's keys does not matter; 1, 1.0 and true differ.

    Args:
        parts: everything that changes the answer. None, booleans, numbers, texts, and lists, tuples and dicts of these.

    Returns:
        64 hexadecimal digits.

    Raises:
        TypeError: a part is no such value, or a dict has a key that is no text (JSON would write 1 and "1" alike).
        ValueError: a part holds NaN, an infinity, or itself.
    """
    try:
        text = _to_json(parts)
        for part in parts:
            _check_names(part)
    except (TypeError, ValueError) as error:
        raise type(error)(f"cache_key: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def _check_names(part: Any) -> None:
    if isinstance(part, dict):
        for name, value in part.items():
            if not isinstance(name, str):
                raise TypeError(f"the key {name!r} of a dict is no text")
            _check_names(value)
    elif isinstance(part, list | tuple):
        for value in part:
            if isinstance(value, dict | list | tuple):
                _check_names(value)


class CanonicalKey(tuple[Any, ...]):
    """A canonical key in a user's hands: it is not made canonical again."""

    __slots__ = ()


def call_key(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Key:
    """The canonical key of a call: the function, and its arguments with their types.

    A function, and the object of a bound method, stand for themselves: the key keeps them alive.

    Raises:
        TypeError: an argument is no immutable value; it names the argument.
    """
    if type(function) is FunctionType and not kwargs:
        for value in args:
            if type(value) is not str:
                break
        else:  # most calls of caches, and at a third of the price
            return function, args
    called = _of_function(function), tuple([_argument(value, place) for place, value in enumerate(args, start=1)])
    return (*called, *[(name, _argument(kwargs[name], name)) for name in sorted(kwargs)]) if kwargs else called


def _argument(value: Any, place: int | str) -> Key:
    kind = type(value)
    if kind is str:
        return value
    if kind is int:
        return kind, _digits(value)
    return _canonical(value, f"argument {place!r}")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # of more than some thousand digits, which Python does not write
        return hex(value)


def canonical(key: Any) -> Key:
    """The canonical form of a key that a user gives.

    Raises:
        TypeError: it is no immutable value.
    """
    if type(key) is str:
        return key
    return tuple(key) if type(key) is CanonicalKey else _canonical(key, "the key")


def handed_out(key: Key) -> Key:
    """A canonical key for a user, who may give it back as it is."""
    return CanonicalKey(key) if type(key) is tuple else key


def _of_function(function: Any) -> Key:
    if type(function) is FunctionType:
        return function
    if isinstance(function, functools.partial):
        return functools.partial, call_key(function.func, function.args, function.keywords)
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        return MethodType, function.__name__, _of_object(owner, "the object of the method")
    if isinstance(function, BuiltinFunctionType):
        return function
    return _of_object(function, "the object that is called")


def _of_object(value: Any, what: str) -> Key:
    # What is equal to itself alone stands for itself: the key holds it, so nothing else can ever take its place.
    kind: Any = type(value)
    if kind.__eq__ is object.__eq__ and not isinstance(value, type | Enum):
        return "itself", value
    return _canonical(value, what)


def _canonical(value: Any, what: str) -> Key:  # noqa: PLR0911 - a table of types
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind is tuple:
        return (tuple, *[_canonical(each, what) for each in value])
    if kind is int:
        return kind, _digits(value)
    if kind is float:
        return float, value.hex()  # tells 0.0 from -0.0
    if kind in _BY_TEXT:
        return kind, str(value)
    if kind in (datetime, time) and (value.tzinfo is None or type(value.tzinfo) is timezone):
        return kind, value.isoformat(), str(value.fold)
    if isinstance(value, Enum):
        return kind, str(value.name), _canonical(value.value, what)
    return _of_composite(kind, value, what)


def _of_composite(kind: Any, value: Any, what: str) -> Key:
    if kind is frozenset:
        return frozenset, frozenset([_canonical(each, what) for each in value])
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return (kind, *[_canonical(each, what) for each in value])
    if isinstance(value, type):
        return type, value
    if is_dataclass(value) and kind.__dataclass_params__.frozen:
        return (kind, *[_canonical(getattr(value, each.name), f"{what}, field {each.name!r}") for each in fields(value)])
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType):
        return _of_function(value)
    raise TypeError(
        f"{what} is a {kind.__qualname__}, which no cache key can be made of: it takes immutable values (texts, numbers, dates, "
        f"enums, and tuples, frozensets and frozen dataclasses of these); for others give the cache a key= of your own"
    )


def name_of(key: Key) -> str | None:
    """A name for a key that means the same in every process, of a fixed length; None when there is none."""
    if type(key) is not str:
        parts: list[str] = []
        if not _spell(key, parts):
            return None
        key = "".join(parts)
    else:
        key = f"text:{key}"
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _spell(key: Key, parts: list[str]) -> bool:
    """Write a key in a form that only an equal key has; whether it can be done."""
    if isinstance(key, tuple | frozenset):
        inner: list[list[str]] = []
        for each in key:
            inner.append([])
            if not _spell(each, inner[-1]):
                return False
        words = ["".join(each) for each in inner]
        parts.append(f"({len(words)}:{''.join(sorted(words) if isinstance(key, frozenset) else words)})")
        return True
    if isinstance(key, str):
        word = f"s{key}"
    elif isinstance(key, bytes):
        word = f"b{key.hex()}"
    elif key is None:
        word = "n"
    elif isinstance(key, type | FunctionType | BuiltinFunctionType) and _has_a_name(key):
        word = f"{'t' if isinstance(key, type) else 'f'}{key.__module__}.{key.__qualname__}"
    else:
        return False
    parts.append(f"{len(word)}:{word}")
    return True


def _has_a_name(what: Any) -> bool:
    """Whether its module and qualified name lead to it alone: no local one, and no function that others are wrapped in."""
    return "<" not in what.__qualname__ and getattr(what, "__closure__", None) is None
