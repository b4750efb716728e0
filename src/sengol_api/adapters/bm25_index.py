"""Lexical ranking: finds the names, codes and rare words that vectors blur."""

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

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
RARE: Final = 3
COMMON_SHARE: Final = 0.02


def tokenize(text: str) -> list[str]:
    """Lower-case words with a plural s cut; a compound counts whole and in parts (``log4j-2`` and ``log4j``)."""
    tokens = []
    for match in _TOKEN.findall(text.lower()):
        parts = [match, *_PARTS.split(match)] if "-" in match or "." in match else [match]
        tokens += [_stem(part) for part in parts if len(part) > 1 and part not in STOPWORDS]
    return tokens


def _stem(token: str) -> str:
    if len(token) > 4 and token.endswith("ies"):
        return token[:-3] + "y"
    if len(token) > 3 and token.endswith("s") and not token.endswith(("ss", "us", "is")):
        return token[:-1]
    return token


class Bm25Index:
    """The ``KeywordIndex`` over bm25s (Lucene's variant of BM25, k1 1.5, b 0.75), in memory.

    Args:
        ids: one per text.
        texts: what is searched.
    """

    def __init__(self, ids: Sequence[str], texts: Iterable[str]) -> None:
        import bm25s
        import bm25s.tokenization

        self._ids = list(ids)
        self._rows = {key: row for row, key in enumerate(self._ids)}
        self._words: dict[str, int] = {}
        documents = [[self._words.setdefault(t, len(self._words)) for t in tokenize(text)] for text in texts]
        if len(documents) != len(self._ids):
            raise ValueError(f"{len(self._ids)} ids for {len(documents)} texts")
        self._frequency: NDArray[np.int64] = np.zeros(max(1, len(self._words)), dtype=np.int64)
        for document in documents:
            self._frequency[list(set(document))] += 1
        self._index = bm25s.BM25() if self._words else None
        if self._index is not None:
            # bm25s wants every document to have a word: an empty one gets a word that no query can have.
            nothing = self._words.setdefault("", len(self._words))
            corpus = bm25s.tokenization.Tokenized(ids=[d or [nothing] for d in documents], vocab=self._words)
            self._index.index(corpus, show_progress=False)

    def __len__(self) -> int:
        return len(self._ids)

    async def search(self, queries: Sequence[str], limit: int, allowed: frozenset[str] | None = None) -> list[list[Hit]]:
        """See the port."""
        return await asyncio.to_thread(self._search, queries, limit, allowed)

    def salient(self, text: str, limit: int) -> list[str]:
        """See the port. Words of fewer than three incidents or of more than one in fifty tell nothing."""
        most = max(RARE, COMMON_SHARE * len(self._ids))
        known = {token: self._frequency[self._words[token]] for token in tokenize(text) if token in self._words}
        telling = sorted((count, token) for token, count in known.items() if RARE <= count <= most)
        return [token for _, token in telling[:limit]]

    def _search(self, queries: Sequence[str], limit: int, allowed: frozenset[str] | None) -> list[list[Hit]]:
        mask = None if allowed is None else self._mask(allowed)
        return [self._rank(tokenize(query), limit, mask) for query in queries]

    def _rank(self, tokens: Sequence[str], limit: int, mask: NDArray[np.float32] | None) -> list[Hit]:
        known = [self._words[token] for token in tokens if token in self._words]
        if self._index is None or not known or limit <= 0:
            return []
        scores = self._index.get_scores_from_ids(known)
        if mask is not None:
            scores = scores * mask
        count = min(limit, len(scores))
        top = np.argpartition(-scores, count - 1)[:count] if count < len(scores) else np.arange(len(scores))
        top = np.sort(top)
        top = top[np.argsort(-scores[top], kind="stable")]
        return [Hit(self._ids[row], float(scores[row])) for row in top if scores[row] > 0]

    def _mask(self, allowed: frozenset[str]) -> NDArray[np.float32]:
        mask = np.zeros(len(self._ids), dtype=np.float32)
        mask[[self._rows[key] for key in allowed if key in self._rows]] = 1
        return mask
