"""Embeddings: each text asked for once, in as few requests as the limits allow, and each kept by itself."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sengol_api.adapters.openai.asks import EmbeddingAsk, vector_key
from sengol_api.adapters.openai.chain import Chain
from sengol_api.adapters.openai.errors import ModelError, PartialEmbeddingsError, TooLongError
from sengol_api.adapters.openai.kept import Kept
from sengol_api.adapters.openai.options import OpenAIOptions
from sengol_api.adapters.openai.run import Run
from sengol_api.adapters.openai.tokens import clean, cut, group, halves
from sengol_api.resilience import OptionsError, Pipeline
from sengol_api.resilience.cache.policy import CachePolicy
from sengol_api.resilience.options import whole

Vector = NDArray[np.float32]
Chunk = tuple[bytes, ...]

_COUNT = whole(1)
_MOST_SPLITS = 32  # further requests for one that is refused as too long: enough to find one text in two thousand


class TextVectors:
    """Vectors of texts.

    Args:
        chain: providers of one and the same model: vectors of two models never meet.
        pipeline: with the cache; None for none.
        options: of the client.
    """

    def __init__(self, chain: Chain[EmbeddingAsk, Chunk], pipeline: Pipeline | None, options: OpenAIOptions) -> None:
        self._chain = chain
        self._options = options
        self._kept: Kept[Chunk] | None = None if pipeline is None else Kept(pipeline)
        self._cache: CachePolicy | None = None if pipeline is None else pipeline["cache"]
        self.model = chain.routes[0].provider.embedding_model if chain.routes else ""

    async def of(
        self,
        texts: Sequence[str],
        *,
        dimensions: int | None,
        batch_size: int | None,
        concurrency: int,
        run: Run,
        use_cache: bool,
        skip: bool,
    ) -> list[Vector]:
        """A vector for each text, in their order.

        Raises:
            OptionsError: a text is empty, or no text; numbers out of their range.
            PartialEmbeddingsError: some have none.
            ModelError: none has one.
        """
        _check_numbers(batch_size=batch_size or 1, concurrency=concurrency, dimensions=dimensions or 1)
        self._check(texts)
        dimensions = dimensions or self._options.dimensions
        longest, count = self._options.max_input_tokens, self._options.count_tokens
        cleaned = [clean(text) for text in texts]
        parts = {text: tuple(cut(text, longest, count)) for text in dict.fromkeys(cleaned)}
        wanted = dict.fromkeys(part for each in parts.values() for part in each)
        found = self._at_hand(wanted, dimensions) if use_cache and not skip else {}
        missing = [part for part in wanted if part not in found]
        most = min(batch_size or self._options.max_inputs, self._options.max_inputs)
        failure = None
        if missing:
            gate = asyncio.Semaphore(concurrency)
            load = partial(self._load, dimensions=dimensions, gate=gate, run=run, use_cache=use_cache, skip=skip)
            chunks = [tuple(each) for each in group(missing, most, self._options.max_request_tokens, count)]
            for chunk, loaded in zip(chunks, await asyncio.gather(*map(load, chunks)), strict=True):
                if isinstance(loaded, ModelError):
                    failure = failure or loaded
                else:
                    found.update(zip(chunk, loaded, strict=True))
        made = {text: self._joined(each, found) for text, each in parts.items() if all(part in found for part in each)}
        if failure is None:
            return [made[text].copy() for text in cleaned]
        vectors = {place: made[text].copy() for place, text in enumerate(cleaned) if text in made}
        if not vectors:
            raise failure
        failed = [place for place, text in enumerate(cleaned) if text not in made]
        raise PartialEmbeddingsError(f"{len(failed)} of {len(cleaned)} texts have no vector. {failure.message}", vectors, failed)

    def _check(self, texts: Sequence[str]) -> None:
        given: Sequence[Any] = texts
        wrong = [place for place, text in enumerate(given) if not isinstance(text, str) or not text]
        problems = [f"texts[{place}] is empty, or no text: there is no vector for it" for place in wrong[:20]]
        if isinstance(given, str):
            problems = ["texts is one text; it takes a list of texts"]
        if not self._chain.routes:
            problems.append("no provider serves embeddings: set embedding_model (OPENAI_EMBEDDING_MODEL)")
        if problems:
            raise OptionsError("embeddings", problems)

    def _at_hand(self, texts: Sequence[str] | dict[str, None], dimensions: int | None) -> dict[str, bytes]:
        if self._cache is None:
            return {}
        looked = {text: self._cache.get(vector_key(self.model, dimensions, text)) for text in texts}
        return {text: vector for text, vector in looked.items() if vector is not None}

    async def _load(
        self, chunk: tuple[str, ...], *, dimensions: int | None, gate: asyncio.Semaphore, run: Run, use_cache: bool, skip: bool
    ) -> Chunk | ModelError:
        """The vectors of the texts of one request, or why there are none."""
        own = Run(run.timeout, run.max_retries)
        make = partial(self._made, chunk, dimensions, use_cache)
        try:
            async with gate:
                if self._kept is None or not use_cache:
                    return await make(own)
                ask = EmbeddingAsk(chunk, dimensions, 0)
                return (await self._kept.answer(ask.key(self.model), make, own, skip=skip)).value
        except ModelError as error:
            return error
        finally:
            run.calls += own.calls

    async def _made(self, chunk: tuple[str, ...], dimensions: int | None, keep: bool, run: Run) -> Chunk:  # noqa: FBT001
        vectors = await self._asked(chunk, dimensions, run, [_MOST_SPLITS])
        if keep and self._cache is not None:
            for text, vector in zip(chunk, vectors, strict=True):
                self._cache.put(vector_key(self.model, dimensions, text), vector)
        return vectors

    async def _asked(self, texts: tuple[str, ...], dimensions: int | None, run: Run, splits: list[int]) -> Chunk:
        """Ask for them; in smaller parts when that is too much: the count of tokens was an estimate."""
        ask = EmbeddingAsk(texts, dimensions, sum(map(self._options.count_tokens, texts)))
        try:
            return await self._chain.answer(ask, run)
        except TooLongError:
            if splits[0] <= 0 or (len(texts) == 1 and len(texts[0].strip()) < 2):
                raise
        splits[0] -= 2
        if len(texts) == 1:
            parts = halves(texts[0])
            vectors = dict(zip(parts, await self._asked(parts, dimensions, run, splits), strict=True))
            return (self._joined(parts, vectors).tobytes(),)
        middle = len(texts) // 2
        first = await self._asked(texts[:middle], dimensions, run, splits)
        return first + await self._asked(texts[middle:], dimensions, run, splits)

    def _joined(self, parts: Sequence[str], vectors: dict[str, bytes]) -> Vector:
        """The vector of a text of several parts: the mean of theirs, weighted by their tokens, as a unit vector."""
        if len(parts) == 1:
            return np.frombuffer(vectors[parts[0]], dtype="<f4")
        rows = np.stack([np.frombuffer(vectors[part], dtype="<f4") for part in parts])
        weights = np.array([self._options.count_tokens(part) for part in parts], dtype=np.float32)
        mean: Vector = weights @ rows / weights.sum()
        return mean / np.float32(np.linalg.norm(mean) or 1.0)


def _check_numbers(**numbers: int) -> None:
    problems = [
        f"{name}={value!r} is not allowed, it takes {_COUNT.words}" for name, value in numbers.items() if not _COUNT.accepts(value)
    ]
    if problems:
        raise OptionsError("embeddings", problems)
