"""Names of a test's parameters that are the same in every run, so that one that failed can be named in the next."""

import re
from typing import Any


def stable(value: Any) -> str:
    """As ``str``, cut to 40 characters, without addresses and the order of sets."""
    if callable(value) and (name := getattr(value, "__name__", "")):
        return name.strip("<>")
    text = str(sorted(value, key=str) if isinstance(value, set | frozenset) else value)
    return re.sub(r"<?(?:[\w.]+ )*?(\w+)(?: object)? at 0x[0-9a-f]+>?", r"\1", text)[:40]
