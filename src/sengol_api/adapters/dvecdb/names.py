"""Names: of the collections in the server, and of the vectors in a collection.

A collection belongs to one state of the records. Its name says which: ``incidents-<space>-<fingerprint>-<serial>``. The space
stands for the index, the embedder and the dimension, the fingerprint also for the version of the records, so vectors of two
embedders or of two states never meet. The serial is new for each build and never comes again: what was complete under a name once
cannot be a half of itself later.
"""

import hashlib
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_LONGEST: Final = 27  # what 64 characters leave beside the space, the fingerprint, the serial and the mark
_MARK: Final = "-x"
_NAMESPACE: Final = uuid.UUID("3749670f-3956-565c-9a5c-712c7dd2e750")


def key_of(identity: str) -> uuid.UUID:
    """The id of a vector in d-vecDB, which takes nothing but UUIDs: always the same, so that a repeated insert changes nothing."""
    return uuid.uuid5(_NAMESPACE, identity)


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """The name of a collection of ours.

    Attributes:
        fingerprint: of the state of the records that it was built from.
        serial: of the build; earlier builds have smaller ones.
        prefix: what the collections of one index and embedder have in common.
    """

    fingerprint: str
    serial: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.prefix}-{self.fingerprint}-{self.serial}"

    @property
    def mark(self) -> str:
        """The name of the empty collection that says: this one was changed since, and is not what its fingerprint says."""
        return f"{self}{_MARK}"


class Names:
    """The names of one index with the vectors of one embedder.

    Args:
        collection: its name.
        embedder: model and version that made its vectors.
        dimension: of the vectors.
    """

    def __init__(self, collection: str, embedder: str, dimension: int) -> None:
        self._told = f"{collection}\n{embedder}\n{dimension}\n"
        self.prefix = f"{collection[:_LONGEST]}-{hashlib.sha256(self._told.encode()).hexdigest()[:8]}"
        self._ours = re.compile(rf"{re.escape(self.prefix)}-([0-9a-f]{{10}})-([0-9a-f]{{14}})({_MARK})?")

    def fingerprint(self, version: str) -> str:
        """Of a state of the records."""
        return hashlib.sha256(f"{self._told}{version}".encode()).hexdigest()[:10]

    def new(self, version: str, wall: float) -> Name:
        """A name that there never was.

        Args:
            version: of the records.
            wall: seconds since the epoch.
        """
        return Name(self.fingerprint(version), f"{int(wall) & 0xFFFFFFFF:08x}{secrets.token_hex(3)}", self.prefix)

    def ours(self, names: Iterable[str]) -> tuple[list[Name], set[Name]]:
        """Those of some names that are of this index and embedder, and which of them are marked as changed."""
        found: dict[Name, None] = {}
        marked: set[Name] = set()
        for each in names:
            if match := self._ours.fullmatch(each):
                name = Name(match[1], match[2], self.prefix)
                if match[3]:
                    marked.add(name)
                else:
                    found[name] = None
        return list(found), marked
