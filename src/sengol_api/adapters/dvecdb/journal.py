"""Changes that were made to the records through the client, and are to be made to the index."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from sengol_api.adapters.dvecdb.vectors import Rows


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """One change of the records, which are safe already.

    Attributes:
        before: version of the records before it.
        after: their version after it.
        put: vectors of length one, by id, that were added or changed.
        removed: ids that were removed.
        indexed: whether the index has it, when that is known.
    """

    before: str
    after: str
    put: Mapping[str, Rows]
    removed: Sequence[str]
    indexed: "Future[bool]" = field(default_factory=Future)


class Journal:
    """Edits in the order in which they were made. Any thread may add, one task takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edits: list[Edit] = []

    def add(self, edit: Edit) -> None:
        """One more."""
        with self._lock:
            self._edits.append(edit)

    def between(self, before: str, after: str) -> list[Edit] | None:
        """The edits that lead from one version of the records to another; None when others than these changed them too."""
        if before == after:
            return []
        with self._lock:
            chain = self._from(before)
        end = next((place for place, edit in enumerate(chain, start=1) if edit.after == after), None)
        return None if end is None else chain[:end]

    def _from(self, version: str) -> list[Edit]:
        chain = []
        for edit in self._edits:
            if edit.before == version:
                chain.append(edit)
                version = edit.after
        return chain

    def settle(self, version: str) -> None:
        """The index is what the records were at this version: edits that led there are done, those of another past are void."""
        with self._lock:
            last = max((place for place, edit in enumerate(self._edits, start=1) if edit.after == version), default=0)
            done, self._edits = self._edits[:last], self._edits[last:]
            kept = self._from(version)
            lost, self._edits = [edit for edit in self._edits if edit not in kept], kept
        for edit in done:
            _tell(edit, indexed=True)
        for edit in lost:
            _tell(edit, indexed=False)

    def give_up(self) -> None:
        """The index cannot serve: whoever waits for an edit is told. The edits stay, to be made when it is built."""
        with self._lock:
            waiting = list(self._edits)
        for edit in waiting:
            _tell(edit, indexed=False)


def merged(edits: Sequence[Edit]) -> tuple[dict[str, Rows], set[str]]:
    """What some edits come to: vectors by id to be put, and ids to be removed."""
    put: dict[str, Rows] = {}
    removed: set[str] = set()
    for edit in edits:
        for key in edit.removed:
            put.pop(key, None)
            removed.add(key)
        put.update(edit.put)
        removed -= edit.put.keys()
    return put, removed


def _tell(edit: Edit, *, indexed: bool) -> None:
    if not edit.indexed.done():
        edit.indexed.set_result(indexed)
