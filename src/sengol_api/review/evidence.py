"""Evidence for questions: what is known of the corpus before any request, and what of it speaks for an area of this system."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from sengol_api.review import retrieval, selection, weights
from sengol_api.review.area import Area, Catalogue
from sengol_api.review.corpus import Corpus
from sengol_api.review.facts import SystemFacts
from sengol_api.review.incident import Incident
from sengol_api.review.ports import KeywordIndex, Vectors
from sengol_api.review.question import Question, build
from sengol_api.review.regime import Regime
from sengol_api.review.space import Space
from sengol_api.review.vocabulary import Vocabulary

CANDIDATES: Final = 80
PROFILE: Final = 100
AREA_SHARE: Final = 0.8
SALIENT_WORDS: Final = 8

Rated = tuple[Area, selection.Fit]


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known before any request: the catalogue, the corpus, and the areas' place in it.

    Attributes:
        profiles: the incidents of each area in the corpus at large, whatever the system under review.
    """

    catalogue: Catalogue
    vocabulary: Vocabulary
    corpus: Corpus
    profiles: Mapping[str, tuple[Incident, ...]]


async def prepare(catalogue: Catalogue, vocabulary: Vocabulary, corpus: Corpus, space: Space) -> Knowledge:
    """Find the incidents of every area: one batch search in the local space, whichever embedder serves later."""
    queries = np.stack([space.area_vectors[area.id] for area in catalogue.areas])
    found = await space.index.search(queries, PROFILE, corpus.evidence_for(()))
    profiles = {
        area.id: tuple(corpus[hit.id] for hit in hits if hit.score >= space.nearness.weak)
        for area, hits in zip(catalogue.areas, found, strict=True)
    }
    return Knowledge(catalogue, vocabulary, corpus, profiles)


class Weighed(NamedTuple):
    """A question with all incidents that it stands on, best first; which of them it shows is decided later."""

    question: Question
    matches: Sequence[retrieval.Match]


class Evidence:
    """Finds and weighs.

    Args:
        knowledge: catalogue, vocabulary and corpus.
        keywords: best incidents by words.
    """

    def __init__(self, knowledge: Knowledge, keywords: KeywordIndex) -> None:
        self._knowledge = knowledge
        self._keywords = keywords

    async def retrieve(
        self, areas: Sequence[Area], facts: SystemFacts, space: Space, description: Vectors
    ) -> list[list[retrieval.Match]]:
        """The incidents of each area, best first: one batch search by meaning and one by words, for all areas together.

        Args:
            areas: asked about.
            facts: of the system.
            space: where the description lies.
            description: its vector there, shape (dimension,).
        """
        if not areas:
            return []
        corpus = self._knowledge.corpus
        allowed = corpus.evidence_for(facts.products)
        salient = " ".join(self._keywords.salient(facts.description, SALIENT_WORDS))
        queries = _blend([space.area_vectors[area.id] for area in areas], description)
        semantic, lexical = await asyncio.gather(
            space.index.search(queries, CANDIDATES, allowed),
            self._keywords.search([f"{area.query} {salient}" for area in areas], retrieval.MATCHES, allowed),
        )
        similar = await space.index.compare(queries, [[hit.id for hit in hits] for hits in lexical])

        def join() -> list[list[retrieval.Match]]:
            return [
                retrieval.match(area, facts, corpus, near, said, cosines, space.nearness)
                for area, near, said, cosines in zip(areas, semantic, lexical, similar, strict=True)
            ]

        return await asyncio.to_thread(join)

    def weigh(
        self,
        chosen: Sequence[Rated],
        found: Sequence[Sequence[retrieval.Match]],
        facts: SystemFacts,
        regimes: Mapping[str, Regime],
        as_of: dt.date,
        *,
        least: float,
    ) -> list[Weighed]:
        """Make and weigh the questions of areas; heaviest first, without those below the least weight."""
        knowledge = self._knowledge
        share = knowledge.corpus.industry_share.get(facts.industry or "", 0.0)
        weighed = []
        for (area, fit), matches in zip(chosen, found, strict=True):
            question = build(
                area,
                fit,
                facts,
                matches,
                industry=weights.industry_weight(knowledge.profiles[area.id], facts.industry, share),
                regimes=regimes,
                vocabulary=knowledge.vocabulary,
                as_of=as_of,
            )
            if question.final_weight >= least:
                weighed.append(Weighed(question, matches))
        weighed.sort(key=lambda each: (-each.question.final_weight, each.question.id))
        return weighed


def _blend(area_vectors: Sequence[Vectors], description: Vectors) -> Vectors:
    mixed = AREA_SHARE * np.stack(area_vectors) + (1 - AREA_SHARE) * description
    norms = np.linalg.norm(mixed, axis=1, keepdims=True)
    blended: Vectors = (mixed / np.where(norms > 0, norms, 1)).astype(np.float32)
    return blended
