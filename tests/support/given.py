"""An embedder and a store whose vectors a test has chosen."""

import numpy as np

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from support.builders import make_incident
from support.toys import NOON


class Given:
    """The ``Embedder`` that gives each incident the vector that was chosen for it.

    Args:
        name: of the embedder.
        ids: of the incidents.
        vectors: theirs, shape (ids, dimension).
    """

    def __init__(self, name: str, ids, vectors) -> None:
        self.name = name
        self.dimension = vectors.shape[1]
        self._vectors = {make_incident(key).searchable: vector for key, vector in zip(ids, vectors, strict=True)}

    async def embed(self, texts):
        """See the port."""
        return np.stack([self._vectors[text] for text in texts])


async def keep(database: Database, embedder: Given, ids) -> Change:
    """Let the store of record have these incidents, and no others."""
    store = SqlIncidentStore(database, embedder, now=lambda: NOON)
    return await store.put("own", [make_incident(key) for key in ids], remove_others=True)
