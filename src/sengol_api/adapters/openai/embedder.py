"""The domain's ``Embedder`` over the client."""

from collections.abc import Sequence

import numpy as np

from sengol_api.adapters.openai.client import OpenAIClient
from sengol_api.adapters.openai.errors import BadAnswerError
from sengol_api.review.ports import Vectors

_CUT = "text-embedding-3-"
"""Models that give shorter vectors when asked."""


class OpenAIEmbedder:
    """See the port. Blank texts are not sent: they get zero vectors.

    Args:
        client: with an embedding model.
        dimension: numbers of a vector: what a text-embedding-3 model is asked for, or what another model gives.
    """

    def __init__(self, client: OpenAIClient, dimension: int = 512) -> None:
        self.model = client.embedding_model
        self.dimension = dimension
        self.name = f"{self.model}-{dimension}"
        self._client = client

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See the port.

        Raises:
            LLMError: there is no vector for some of the texts.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        places = [place for place, text in enumerate(texts) if text.strip()]
        if not places:
            return vectors
        asked = self.dimension if self.model.startswith(_CUT) else None
        found = await self._client.batch_generate_embeddings([texts[place] for place in places], dimensions=asked)
        if len(found[0]) != self.dimension:
            raise BadAnswerError(
                f"The model {self.model} gives vectors of {len(found[0])} numbers, not {self.dimension}: set that dimension."
            )
        vectors[places] = np.stack(found)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
