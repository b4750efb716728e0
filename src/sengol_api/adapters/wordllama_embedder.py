"""Static word embeddings whose weights lie in the installed package: no download, no key, milliseconds."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sengol_api.review.ports import Vectors

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

DIMENSION: Final = 256
LONGEST: Final = 20_000
INLINE: Final = 2
NAME: Final = f"wordllama-{version('wordllama')}-{DIMENSION}"
WEIGHTS_SHA256: Final = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"


class WordLlamaEmbedder:
    """The ``Embedder`` over WordLlama: the mean of the vectors of a text's word pieces.

    The model is loaded at the first use, or by :meth:`warm`.
    """

    name = NAME
    dimension = DIMENSION

    def __init__(self) -> None:
        self._model: WordLlamaInference | None = None
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Load the model now.

        Raises:
            RuntimeError: the installed weights are not those that the corpus was measured with.
        """
        with self._lock:
            if self._model is None:
                self._model = _load()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See the port. One or two short texts are done at once; more go to a thread."""
        if self._model is not None and len(texts) <= INLINE and sum(map(len, texts)) < 2_000:
            return self._embed(texts)
        return await asyncio.to_thread(self._embed, texts)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        self.warm()
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        worded = [row for row, text in enumerate(texts) if text.strip()]
        if worded and self._model is not None:
            with self._lock:  # the tokenizer's padding is one shared setting
                vectors[worded] = self._model.embed([texts[row][:LONGEST] for row in worded])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def _load() -> "WordLlamaInference":
    import wordllama

    folder = Path(wordllama.__file__).parent
    weights = folder / "weights" / f"l2_supercat_{DIMENSION}.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != WEIGHTS_SHA256:
        raise RuntimeError(
            f"The embedding weights {weights.name} of the installed wordllama {version('wordllama')} are not the pinned "
            f"ones (sha256 {found[:12]}…, expected {WEIGHTS_SHA256[:12]}…). Reinstall from the lock file: make setup.",
        )
    return wordllama.WordLlama.load(dim=DIMENSION, disable_download=True, cache_dir=folder)
