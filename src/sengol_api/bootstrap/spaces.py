"""The spaces of vectors: the local one at once, the preferred one as soon as it is whole."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np

from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import PatientEmbedder
from sengol_api.adapters.openai import OpenAIEmbedder
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.vector_builder import VectorBuilder
from sengol_api.adapters.sql.vectors import SqlVectors
from sengol_api.review.area import Area
from sengol_api.review.ports import Embedder, VectorIndex, Vectors
from sengol_api.review.space import Space, Spaces, like

BATCH: Final = 1024
"""Incidents per request to the provider."""

MakeIndex = Callable[[Embedder, ExactIndex], Awaitable[VectorIndex]]
"""The index of an embedder's vectors, with the embedded one below it."""


class ProviderSpace:
    """Brings the space of a provider's embedder about: makes its vectors in the background, and prefers it when all are there.

    Until then, and after a failure, the local space serves, and answers say so.

    Args:
        embedder: of the provider; the work in the background is in no hurry.
        database: the store of record.
        spaces: where the space is preferred.
        make_index: of its vectors.
        areas: of the catalogue.
        corpus: vectors of the local space, by which the new thresholds are found, shape (incidents, dimension).
    """

    def __init__(
        self,
        embedder: OpenAIEmbedder,
        database: Database,
        spaces: Spaces,
        make_index: MakeIndex,
        areas: Sequence[Area],
        corpus: Vectors,
    ) -> None:
        self._embedder = embedder
        self._vectors = SqlVectors(database)
        self._builder = VectorBuilder(self._vectors, embedder, batch=BATCH)
        self._spaces = spaces
        self._make_index = make_index
        self._areas = areas
        self._corpus = corpus

    @property
    def waiting(self) -> str:
        """Why it is not there yet, in words that may be shown."""
        progress = self._builder.progress
        return f"the provider's vectors of the incidents are being made: {progress.done} of {progress.total}"

    async def build(self) -> None:
        """Make what is missing, and prefer the space. An error is the supervisor's, who starts it again."""
        await self._builder.run()
        ids, vectors = await self._vectors.all(self._embedder)
        embedded = ExactIndex(ids, vectors)
        areas = await self._embedder.embed([area.query for area in self._areas])
        local = self._spaces.local
        known = np.stack([local.area_vectors[area.id] for area in self._areas])
        self._spaces.preferred = Space(
            PatientEmbedder(self._embedder),
            await self._make_index(self._embedder, embedded),
            {area.id: areas[row] for row, area in enumerate(self._areas)},
            like(local.nearness, known, self._corpus, areas, vectors),
        )
