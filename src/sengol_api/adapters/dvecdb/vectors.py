"""Vectors as d-vecDB can have them: of one dimension, finite, of length one."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sengol_api.adapters.dvecdb.errors import InvalidVector

Rows = NDArray[np.float32]
"""Rows of vectors, shape (n, dimension), float32."""

_TINY: Final = 1e-300
_NEAR: Final = 1e-6


def unit_rows(vectors: ArrayLike, dimension: int) -> Rows:
    """Vectors as rows of length one. Cosines stay what they were; rows of noughts stay noughts.

    The server computes lengths in single precision and without a look at what comes out: values of 1e30, which are finite, make
    every distance 1, and values of 1e39 make it null. Made here, in double precision, both come out right.

    Args:
        vectors: anything that NumPy takes for an array of shape (n, dimension).
        dimension: numbers per vector.

    Raises:
        InvalidVector: another shape, no numbers, or a value that is not finite.
    """
    try:
        rows = np.asarray(vectors)
        if rows.dtype.kind not in "fiu":
            raise TypeError  # noqa: TRY301 - the one answer to everything that is no array of numbers
        wide = rows.astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidVector("A vector must be a sequence of numbers.") from None
    if wide.ndim != 2 or wide.shape[1] != dimension:
        got = f"{wide.shape[-1]} numbers" if wide.ndim else "a single number"
        raise InvalidVector(f"A vector of this index has {dimension} numbers, this one has {got}.", {"dimension": dimension})
    squares = np.einsum("ij,ij->i", wide, wide)
    if (np.abs(squares - 1.0) < _NEAR).all():  # as embedders give them
        copied: Rows = rows.astype(np.float32)  # what the caller does to his own array shall change nothing here
        return copied
    largest = np.abs(wide).max(axis=1, initial=0.0)
    if not np.isfinite(largest).all():
        raise InvalidVector("A vector holds a value that is not finite.")
    wide /= np.where(largest > _TINY, largest, 1.0)[:, None]  # first by the largest: squares of 1e200 would be too large even here
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    unit: Rows = (wide / np.where(lengths > _TINY, lengths, 1.0)[:, None]).astype(np.float32)
    return unit


def unit_row(vector: ArrayLike, dimension: int) -> Rows:
    """One vector of length one, shape (dimension,). Raises as :func:`unit_rows` does."""
    try:
        row = np.asarray(vector)
    except ValueError:
        raise InvalidVector("A vector must be a sequence of numbers.") from None
    if row.ndim != 1:
        raise InvalidVector(f"A vector of this index has {dimension} numbers in one row, this one has {row.ndim} dimensions.")
    one: Rows = unit_rows(row[None, :], dimension)[0]
    return one


def stacked(rows: Iterable[Rows]) -> Rows:
    """Rows as one array, shape (n, dimension)."""
    together: Rows = np.stack(list(rows))
    return together
