"""What is kept of a value, so that nobody who is handed it can change it for the next one."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, TypeAlias
from uuid import UUID

Copy: TypeAlias = Callable[[Any], Any]

_IMMUTABLE = frozenset(
    {str, bytes, int, float, bool, complex, type(None), range, date, datetime, time, timedelta, Decimal, Fraction, UUID}
)


def is_immutable(value: Any) -> bool:
    """Whether nobody can change the value, however deep: it may be handed out as it is."""
    kind = type(value)
    if kind in _IMMUTABLE or isinstance(value, Enum):
        return True
    if kind is tuple or kind is frozenset:
        return all(map(is_immutable, value))
    params = kind.__dict__.get("__dataclass_params__")
    return params is not None and params.frozen and all(is_immutable(getattr(value, field.name)) for field in fields(value))


def pack(value: Any, copy_of: Copy | None) -> tuple[Any, Copy | None]:
    """What to keep of a value, and what makes a copy of it again.

    Immutable values are kept as they are, and handed out at no cost. All others are copied: by pickle by default, once on the way
    in, which makes a hit cost the unpickling; by :func:`copy.deepcopy`, at several times that price, when they cannot be pickled.
    A class that leaves something out when it is pickled leaves it out here too.

    Args:
        value: to keep.
        copy_of: makes a copy; None for pickle.

    Returns:
        what is kept, and the function that makes of it what is handed out; None for "as it is".

    Raises:
        Exception: it cannot be copied.
    """
    if is_immutable(value):
        return value, None
    if copy_of is not None:
        return copy_of(value), copy_of
    try:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL), pickle.loads
    except Exception:  # noqa: BLE001 - whatever a class does in its __reduce__, the other way may work
        return copy.deepcopy(value), copy.deepcopy
