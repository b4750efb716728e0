"""The best of many scores, in a defined order."""

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sengol_api.review.ports import Hit

STRIDE: Final = 16
"""One score in so many is looked at to tell which are high."""

_hit = partial(tuple.__new__, Hit)  # a quarter of the time of Hit(...), and a review makes ten thousand


def best(ids: Sequence[str], scores: NDArray[np.float32], count: int) -> list[Hit]:
    """The ``count`` highest scores, best first; equal ones in the order of ``ids``.

    Args:
        ids: one per score, sorted.
        scores: finite, shape (n,).
        count: from 1 to n.
    """
    top = _top(scores, count)
    values = scores[top]
    order = np.argsort(-values, kind="stable")[:count]
    return list(map(_hit, zip(map(ids.__getitem__, top[order].tolist()), values[order].tolist(), strict=True)))


def _top(scores: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Rows of the highest scores, in their order, with all that equal the last: a partition alone takes any of them.

    A sample tells which scores can be among them, so that only some hundred are partitioned (R. Floyd and R. Rivest, "Expected Time
    Bounds for Selection", Communications of the ACM 18(3), 1975). Where it misleads, all are.
    """
    if count >= len(scores):
        return np.arange(len(scores))
    sample = scores[::STRIDE]
    place = 2 * count // STRIDE + 4
    rows = (scores >= _nth(sample, place)).nonzero()[0] if place < len(sample) else np.arange(0)
    if len(rows) < count:
        return (scores >= _nth(scores, count)).nonzero()[0]
    within = scores[rows]
    return rows[within >= _nth(within, count)]


def _nth(scores: NDArray[np.float32], place: int) -> np.float32:
    """The ``place``-th highest, from 1 to n."""
    return np.partition(scores, len(scores) - place)[len(scores) - place]  # type: ignore[no-any-return]
