"""Spaces of vectors: an embedder with the index of its vectors. Vectors of two embedders never meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sengol_api.review.area import Area
from sengol_api.review.errors import AppError
from sengol_api.review.ports import Embedder, VectorIndex, Vectors
from sengol_api.review.provenance import FRESH, note

EMBEDDINGS: Final = "embeddings"
SAMPLE: Final = 4_000


@dataclass(frozen=True, slots=True)
class Nearness:
    """Which cosines of a space mean something.

    Attributes:
        strong: at and above it a text is close in meaning.
        weak: at and above it a text is fairly close, which counts together with another sign.
    """

    strong: float
    weak: float


@dataclass(frozen=True, slots=True)
class Space:
    """Where texts are compared.

    Attributes:
        embedder: makes its vectors.
        index: of the incidents' vectors.
        area_vectors: one unit vector per area of the catalogue, shape (dimension,).
        nearness: its thresholds.
    """

    embedder: Embedder
    index: VectorIndex
    area_vectors: Mapping[str, Vectors]
    nearness: Nearness


async def make_space(areas: Sequence[Area], embedder: Embedder, index: VectorIndex, nearness: Nearness) -> Space:
    """Place every area in a space: one embedding call."""
    vectors = await embedder.embed([area.query for area in areas])
    return Space(embedder, index, {area.id: vectors[row] for row, area in enumerate(areas)}, nearness)


def like(measured: Nearness, areas: Vectors, corpus: Vectors, other_areas: Vectors, other_corpus: Vectors) -> Nearness:
    """The thresholds of another space that let through the same share of pairs of an area and an incident.

    Cosines of two embedders cannot be compared: 0.45 is close for one and common for another. The shares can.

    Args:
        measured: thresholds of the space that was judged by people.
        areas: vectors of the areas there, shape (areas, dimension).
        corpus: vectors of the incidents there, shape (incidents, dimension).
        other_areas: the same areas in the other space.
        other_corpus: the same incidents in the other space.
    """
    known, other = _cosines(areas, corpus), _cosines(other_areas, other_corpus)
    shares = [float((known < limit).mean()) for limit in (measured.strong, measured.weak)]
    strong, weak = (round(float(value), 4) for value in np.quantile(other, shares))
    return Nearness(strong, weak)


def _cosines(areas: Vectors, corpus: Vectors) -> Vectors:
    step = max(1, len(corpus) // SAMPLE)
    cosines: Vectors = (corpus[::step] @ areas.T).ravel()
    return cosines


class Spaces:
    """The ladder of embeddings: the preferred space, or the local one, which needs nothing from outside.

    Args:
        local: always there.
        waiting: why there is no preferred space yet, in words that may be shown; empty when none is wanted.
    """

    def __init__(self, local: Space, *, waiting: Callable[[], str] = lambda: "") -> None:
        self.local = local
        self.preferred: Space | None = None
        self._waiting = waiting

    async def place(self, texts: Sequence[str], local: Vectors | None = None) -> tuple[Space, Vectors]:
        """Place texts.

        Args:
            texts: to place.
            local: their vectors in the local space, where they are known already.

        Returns:
            the space, and their vectors in it, shape (texts, dimension).
        """
        preferred = self.preferred
        reason = "" if preferred else self._waiting()
        if preferred is not None:
            try:
                vectors = await preferred.embedder.embed(texts)
            except AppError as error:
                reason = error.message
            else:
                return preferred, vectors
        note(EMBEDDINGS, "local" if reason else FRESH, reason)
        return self.local, await self.local.embedder.embed(texts) if local is None else local
