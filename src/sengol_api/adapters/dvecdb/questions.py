"""One search as it is asked: checked, and with the key of its answer."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sengol_api.adapters.dvecdb.filters import Condition
from sengol_api.adapters.dvecdb.vectors import Rows

FORMAT: Final = "d-vecdb/1"


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for.

    Attributes:
        what: a hash of the vector or the text.
        place: gives the vector, of length one, shape (dimension,); for a text it asks the embedder.
        limit: how many hits.
        condition: which records may be found.
    """

    what: str
    place: Callable[[], Awaitable[Rows]]
    limit: int
    condition: Condition

    def key(self, index: str) -> str:
        """Of the answer. It holds everything that changes it.

        Args:
            index: a text for the collection's name, the embedder, the dimension and the version of the records.
        """
        parts = f"{FORMAT}\n{index}\n{self.what}\n{self.limit}\n{self.condition.key}"
        return hashlib.sha256(parts.encode()).hexdigest()


def about_vector(row: Rows, limit: int, condition: Condition) -> Question:
    """A search by a vector of length one, shape (dimension,)."""

    async def place() -> Rows:
        return row

    return Question(f"vector {hashlib.sha256(row.tobytes()).hexdigest()}", place, limit, condition)


def about_text(text: str, place: Callable[[], Awaitable[Rows]], limit: int, condition: Condition) -> Question:
    """A search by a text, which ``place`` gives the vector of."""
    return Question(f"text {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}", place, limit, condition)
