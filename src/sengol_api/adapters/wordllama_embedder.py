"""Static word embeddings whose weights lie in the installed package: no download, no key, milliseconds."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from sengol_api.review.ports import Vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DIMENSION: Final = 256
LONGEST: Final = 20_000
BATCH: Final = 256
INLINE: Final = 2
NAME: Final = f"wordllama-{version('wordllama')}-{DIMENSION}"
WEIGHTS: Final = f"weights/l2_supercat_{DIMENSION}.safetensors"
TOKENIZER: Final = "tokenizers/l2_supercat_tokenizer_config.json"
SHA256: Final = {
    WEIGHTS: "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    TOKENIZER: "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
}


class WordLlamaEmbedder:
    """The ``Embedder`` over WordLlama (l2_supercat, 256 dimensions): the mean of the vectors of a text's word pieces.

    The weights and the tokenizer are read from the package's folder without importing the package, whose import loads an HTTP
    client and a downloader that are of no use here; a test holds the vectors against the package's own. They are loaded at the
    first use, or by :meth:`warm`.
    """

    name = NAME
    dimension = DIMENSION

    def __init__(self) -> None:
        self._model: tuple[Tokenizer, Vectors] | None = None
        self._loading = threading.Lock()

    def warm(self) -> None:
        """Load the model now.

        Raises:
            RuntimeError: the installed files are not those that the corpus was measured with.
        """
        self._loaded()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See the port. One or two short texts are done at once; more go to a thread."""
        if self._model is not None and len(texts) <= INLINE and sum(map(len, texts)) < 2_000:
            return self.embed_now(texts)
        return await asyncio.to_thread(self.embed_now, texts)

    def _loaded(self) -> "tuple[Tokenizer, Vectors]":
        with self._loading:
            if self._model is None:
                self._model = _load()
            return self._model

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """The same at once, in this thread: for a few short texts in the midst of a check."""
        tokenizer, pieces = self._loaded()
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for start in range(0, len(texts), BATCH):
            batch = [text[:LONGEST] for text in texts[start : start + BATCH]]
            for row, encoding in enumerate(tokenizer.encode_batch(batch, add_special_tokens=False), start=start):
                if encoding.ids and texts[row].strip():  # white space has pieces too, but says nothing
                    vectors[row] = pieces[encoding.ids].mean(axis=0)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def _load() -> "tuple[Tokenizer, Vectors]":
    from safetensors.numpy import load
    from tokenizers import Tokenizer

    found = find_spec("wordllama")
    if found is None or found.origin is None:
        raise RuntimeError("The package wordllama is not installed. Install from the lock file: make setup.")
    files = {name: (Path(found.origin).parent / name).read_bytes() for name in SHA256}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != SHA256[name]:
            raise RuntimeError(
                f"{name} of the installed wordllama {version('wordllama')} is not the pinned file (sha256 "
                f"{SHA256[name][:12]}…). Install from the lock file: make setup.",
            )
    tokenizer = Tokenizer.from_buffer(files[TOKENIZER])
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # It would keep the pieces of 10,000 texts, 2 kB each and of no use: it takes each text for one word, and no two are the same.
    tokenizer.model._resize_cache(0)  # noqa: SLF001 - the library has no other name for it
    return tokenizer, load(files[WEIGHTS])["embedding.weight"].astype(np.float32)
