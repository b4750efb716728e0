"""Which rows a search may find, as PostgreSQL is told."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of the table, by their numbers.

    Attributes:
        numbers: of the rows, ascending.
        bits: bit *n* says whether row *n* is one of them: a filter whose cost does not grow with their number.
        size: how many bits there are; a row with a higher number was added by another replica, and is none of them.
    """

    numbers: list[int]
    bits: bytes
    size: int

    @classmethod
    def of(cls, numbers: Mapping[str, int], allowed: frozenset[str] | None) -> "Selection":
        """The rows of the allowed ids that the table has; of all ids when that is None."""
        chosen = sorted(numbers.values() if allowed is None else (numbers[key] for key in allowed if key in numbers))
        size = max(numbers.values(), default=-1) + 1
        mask = np.zeros(size, dtype=bool)
        mask[chosen] = True
        return cls(chosen, np.packbits(mask, bitorder="little").tobytes(), size)

    def __len__(self) -> int:
        return len(self.numbers)
