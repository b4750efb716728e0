"""How an entry is written for the second tier: versioned, checked, and never unpickled."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

_MAGIC = b"sengol-cache/1"


@dataclass(frozen=True, slots=True)
class Enclosed:
    """An entry of the second tier.

    Attributes:
        body: the encoded value.
        made_at: when it was made, in seconds since the epoch: the only time that machines share.
        ttl: its time to live in seconds.
        took: seconds that it took to make.
    """

    body: bytes
    made_at: float
    ttl: float
    took: float


def seal(name: str, entry: Enclosed) -> bytes:
    """Write an entry, with its own name and a checksum over all."""
    head = json.dumps([name, entry.made_at, entry.ttl, entry.took], allow_nan=False).encode()
    rest = head + b"\n" + entry.body
    return b"\n".join((_MAGIC, hashlib.sha256(rest).hexdigest().encode(), rest))


def unseal(name: str, data: Any) -> Enclosed:
    """Read an entry.

    Raises:
        ValueError: it is damaged, of another version, of another name, or none at all.
    """
    if not isinstance(data, bytes):
        raise ValueError(f"the tier gave a {type(data).__name__}, not bytes")  # noqa: TRY004 - a damaged entry, like those below
    magic, _, rest = data.partition(b"\n")
    if magic != _MAGIC:
        raise ValueError("no entry of this version")
    digest, _, rest = rest.partition(b"\n")
    if digest != hashlib.sha256(rest).hexdigest().encode():
        raise ValueError("the entry is damaged")
    head, _, body = rest.partition(b"\n")
    fields = json.loads(head)
    match fields:
        case [str(found), float() | int() as made_at, float() | int() as ttl, float() | int() as took] if (
            found == name and all(map(math.isfinite, (made_at, ttl, took))) and took >= 0
        ):
            return Enclosed(body, made_at, ttl, took)
    raise ValueError("the entry belongs to another key")


def to_json(value: Any) -> bytes:
    """A value as JSON, if JSON gives the same value back.

    Raises:
        TypeError: it would come back as something else: a tuple as a list, a key 1 as "1".
    """
    _check(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def from_json(data: bytes) -> Any:
    """The value again."""
    return json.loads(data.decode("utf-8", "surrogatepass"))


def _check(value: Any) -> None:
    kind = type(value)
    if kind is dict:
        for name, each in value.items():
            if type(name) is not str:
                raise TypeError(f"a key of a dict is a {type(name).__qualname__}")
            _check(each)
    elif kind is list:
        for each in value:
            _check(each)
    elif kind not in (str, int, float, bool, type(None)) or (kind is float and not math.isfinite(value)):
        raise TypeError(f"{kind.__qualname__} does not pass through JSON unchanged")
