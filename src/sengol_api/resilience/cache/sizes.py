"""About how much memory a value takes."""

import sys
from typing import Any


def size_in_memory(value: Any) -> int:
    """Bytes of a value and of all that it holds, each counted once.

    It follows containers and the attributes of objects; what those of other libraries hold beyond them is not seen.
    """
    total = 0
    seen: set[int] = set()
    open_ends = [value]
    while open_ends:
        each = open_ends.pop()
        if id(each) in seen or isinstance(each, type):
            continue
        seen.add(id(each))
        total += sys.getsizeof(each)
        if isinstance(each, dict):
            open_ends += each.keys()
            open_ends += each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            open_ends += each
        elif not isinstance(each, str | bytes | int | float):
            open_ends += [getattr(each, name) for name in _slots(type(each)) if hasattr(each, name)]
            if hasattr(each, "__dict__"):
                open_ends.append(vars(each))
    return total


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in found if name not in ("__dict__", "__weakref__")]
