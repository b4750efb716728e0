"""Searching the incidents themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sengol_api.review.corpus import Corpus
from sengol_api.review.incident import Incident, IncidentFilter
from sengol_api.review.ports import Hit, KeywordIndex
from sengol_api.review.provenance import Degradation, collect
from sengol_api.review.retrieval import fuse
from sengol_api.review.space import Spaces

DEPTH: Final = 100
VULNERABILITY_SHARE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Found:
    """An incident, and its cosine similarity to the query, 0-1."""

    incident: Incident
    similarity: float


@dataclass(frozen=True, slots=True)
class Findings:
    """Answers to queries, in their order, and what they had to do without."""

    answers: list[list[Found]]
    degraded: tuple[Degradation, ...]
    served: tuple[tuple[str, tuple[str, ...]], ...]


class SearchIncidents:
    """Meaning and words joined by rank. Entries on a defect of a single product stand behind real incidents of equal rank.

    Args:
        corpus: the incidents.
        spaces: nearest by meaning.
        keywords: best by words.
    """

    def __init__(self, corpus: Corpus, *, spaces: Spaces, keywords: KeywordIndex) -> None:
        self._corpus = corpus
        self._spaces = spaces
        self._keywords = keywords

    async def __call__(self, queries: Sequence[str], *, condition: IncidentFilter, limit: int) -> Findings:
        """The best incidents for each query, best first.

        Args:
            queries: texts.
            condition: only incidents that it admits.
            limit: at most so many per query.
        """
        with collect() as provenance:
            answers = await self._search(queries, condition, limit)
        return Findings(answers, provenance.degraded, provenance.served)

    async def _search(self, queries: Sequence[str], condition: IncidentFilter, limit: int) -> list[list[Found]]:
        allowed = self._corpus.where(condition)
        depth = max(DEPTH, 2 * limit)
        space, vectors = await self._spaces.place(queries)
        semantic = await space.index.search(vectors, depth, allowed)
        lexical = await self._keywords.search(queries, depth, allowed)
        ranked = [self._ranked(near, said, limit) for near, said in zip(semantic, lexical, strict=True)]
        similar = await space.index.compare(vectors, ranked)
        return [
            [Found(self._corpus[key], round(min(1.0, max(0.0, cosine)), 4)) for key, cosine in zip(keys, cosines, strict=True)]
            for keys, cosines in zip(ranked, similar, strict=True)
        ]

    def _ranked(self, semantic: Sequence[Hit], lexical: Sequence[Hit], limit: int) -> list[str]:
        scores = fuse([(semantic, 1.0), (lexical, 1.0)])
        return sorted(scores, key=lambda key: (-scores[key] * self._share(key), key))[:limit]

    def _share(self, key: str) -> float:
        return VULNERABILITY_SHARE if self._corpus[key].kind == "vulnerability" else 1.0
