"""Lexical ranking: finds the names, codes and rare words that vectors blur."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sengol_api.adapters.ranking import best
from sengol_api.review.ports import Hit

_TOKEN = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*")
_PARTS = re.compile(r"[-.]")
STOPWORDS: Final = frozenset(
    """
    a about after all also an and any are as at be because been before being between both but by can could did do does during each
    for from had has have having he her his how if in into is it its may more most must no not of off on one only or other our out
    over own per said same she should so some such than that the their them then there these they this those through to too two
    under until up use used using very was we were what when where which while who will with without would you your
    """.split(),
)
K1: Final = 1.5
B: Final = 0.75
INLINE: Final = 1
SHORT: Final = 32
RARE: Final = 3
COMMON_SHARE: Final = 0.02


def tokenize(text: str) -> list[str]:
    """Lower-case words with a plural s cut; a compound counts whole and in parts (``log4j-2`` and ``log4j``)."""
    return [token for match in _TOKEN.findall(text.lower()) for token in _tokens_of(match)]


def _tokens_of(match: str) -> tuple[str, ...]:
    # A request may have one word of thousands of letters, and each request another one: only short ones are worth keeping.
    return _tokens(match) if len(match) <= SHORT else _apart(match)


def _apart(match: str) -> tuple[str, ...]:
    parts = [match, *_PARTS.split(match)] if "-" in match or "." in match else [match]
    return tuple(_stem(part) for part in parts if len(part) > 1 and part not in STOPWORDS)


_tokens = lru_cache(maxsize=4096)(_apart)
"""Those of the catalogue's questions, which are asked again and again, are some thousand."""


def _stem(token: str) -> str:
    if len(token) > 4 and token.endswith("ies"):
        return token[:-3] + "y"
    if len(token) > 3 and token.endswith("s") and not token.endswith(("ss", "us", "is")):
        return token[:-1]
    return token


def _number(texts: Iterable[str], words: dict[str, int]) -> list[list[int]]:
    """The texts as numbers of their words; new words are added. Each distinct match of the pattern is taken apart once."""
    seen: dict[str, tuple[int, ...]] = {}
    numbered = []
    for text in texts:
        numbers: list[int] = []
        for match in _TOKEN.findall(text.lower()):
            found = seen.get(match)
            if found is None:
                found = seen[match] = tuple(words.setdefault(token, len(words)) for token in _apart(match))
            numbers += found
        numbered.append(numbers)
    return numbered


def _columns(documents: list[list[int]], words: int) -> tuple[list[int], NDArray[np.intp], NDArray[np.float32]]:
    """Scores by word: ``idf * tf / (tf + k1 * (1 - b + b * length / mean length))``."""
    lengths = np.array([len(document) for document in documents], dtype=np.float64)
    rows = np.repeat(np.arange(len(documents)), lengths.astype(np.intp))
    cells = np.fromiter(chain.from_iterable(documents), dtype=np.int64, count=len(rows)) * max(1, len(documents)) + rows
    cells, counts = np.unique(cells, return_counts=True)
    columns, rows = np.divmod(cells, max(1, len(documents)))
    frequency = np.bincount(columns, minlength=words)
    idf = np.log1p((len(documents) - frequency + 0.5) / (frequency + 0.5))
    mean = lengths.mean() if lengths.any() else 1.0
    scores = idf[columns] * counts / (counts + K1 * (1 - B + B * lengths[rows] / mean))
    starts = np.concatenate([[0], np.cumsum(frequency)])
    return starts.tolist(), rows, scores.astype(np.float32)


class Bm25Index:
    """The ``KeywordIndex`` in memory: BM25 (Robertson and Zaragoza, 2009) in Lucene's form, every score computed beforehand.

    Args:
        ids: one per text, sorted.
        texts: what is searched.
    """

    def __init__(self, ids: Sequence[str], texts: Iterable[str]) -> None:
        self._ids = list(ids)
        self._rows = {key: row for row, key in enumerate(self._ids)}
        self._words: dict[str, int] = {}
        numbers = _number(texts, self._words)
        if len(numbers) != len(self._ids):
            raise ValueError(f"{len(self._ids)} ids for {len(numbers)} texts")
        # One column per word: which documents have it, and what it adds to their scores.
        self._starts, self._documents, self._scores = _columns(numbers, len(self._words))
        self._mask = lru_cache(maxsize=4)(self._make_mask)  # nearly every search allows the same incidents

    def __len__(self) -> int:
        return len(self._ids)

    async def search(self, queries: Sequence[str], limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """See the port."""
        if len(queries) <= INLINE and sum(map(len, queries)) < 2_000:
            return self._search(queries, limit, allowed)
        return await asyncio.to_thread(self._search, queries, limit, allowed)

    def salient(self, text: str, limit: int) -> list[str]:
        """See the port. Words of fewer than three incidents or of more than one in fifty tell nothing."""
        most = max(RARE, COMMON_SHARE * len(self._ids))
        words = {token: self._words[token] for token in tokenize(text) if token in self._words}
        known = {token: self._starts[word + 1] - self._starts[word] for token, word in words.items()}
        telling = sorted((count, token) for token, count in known.items() if RARE <= count <= most)
        return [token for _, token in telling[:limit]]

    def _search(self, queries: Sequence[str], limit: int, allowed: frozenset[str] | None) -> list[list[Hit]]:
        mask = None if allowed is None else self._mask(allowed)
        return [self._rank(tokenize(query), limit, mask) for query in queries]

    def _rank(self, tokens: Sequence[str], limit: int, mask: NDArray[np.float32] | None) -> list[Hit]:
        known = [self._words[token] for token in tokens if token in self._words]
        if not known or limit <= 0:
            return []
        scores = np.zeros(len(self._ids), dtype=np.float32)
        for word in known:
            column = slice(self._starts[word], self._starts[word + 1])
            scores[self._documents[column]] += self._scores[column]
        if mask is not None:
            scores *= mask
        count = min(limit, int(np.count_nonzero(scores)))
        return best(self._ids, scores, count) if count else []

    def _make_mask(self, allowed: frozenset[str]) -> NDArray[np.float32]:
        mask = np.zeros(len(self._ids), dtype=np.float32)
        mask[[self._rows[key] for key in allowed if key in self._rows]] = 1
        return mask
