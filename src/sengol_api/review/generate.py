"""The main job: from a description to questions, each with its own incidents."""

import asyncio
import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import numpy as np

from sengol_api.review import retrieval, selection, weights
from sengol_api.review.area import Area, Catalogue
from sengol_api.review.corpus import Corpus
from sengol_api.review.facts import ReviewRequest, SystemFacts, normalise
from sengol_api.review.incident import Incident
from sengol_api.review.ports import Hit, KeywordIndex, LanguageModel, Vectors
from sengol_api.review.provenance import Degradation, Provenance, collect
from sengol_api.review.question import Question, build
from sengol_api.review.regime import Regime, Status
from sengol_api.review.space import Space, Spaces
from sengol_api.review.statistics import Summary, summarise
from sengol_api.review.vocabulary import Vocabulary, affirmed

CANDIDATES: Final = 80
PROFILE: Final = 100
AREA_SHARE: Final = 0.8
SALIENT_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of the work, for a person who waits."""

    stage: Literal["areas", "evidence", "weights", "done"]
    done: int
    total: int


OnProgress = Callable[[Progress], None]
"""Is told of each step."""


def unheard(_progress: Progress) -> None:
    """Nobody waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """The answer of the main job, without what differs between two askings of the same.

    Attributes:
        model: that had a part in it.
        degraded: what it had to do without; empty when all was fresh.
        served: the rungs that it was made from, by dependency.
        upstream_calls: requests to other services that it took.
    """

    questions: tuple[Question, ...]
    summary: Summary
    facts: SystemFacts
    regimes: tuple[tuple[Regime, Status], ...]
    incidents_found: int
    average_similarity: float
    as_of: dt.date
    corpus_version: str
    catalogue_version: str
    model: str | None = None
    degraded: tuple[Degradation, ...] = ()
    served: tuple[tuple[str, tuple[str, ...]], ...] = ()
    upstream_calls: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call gave: the answer, where it came from, how long it took in milliseconds, and what it sent to others."""

    generated: Generated
    cache: Literal["hit", "stale", "miss"]
    elapsed_ms: float
    upstream_calls: int = 0


class Answerer(Protocol):
    """The main job as its callers see it."""

    async def __call__(
        self,
        request: ReviewRequest,
        *,
        user_id: str | None = None,
        on_progress: OnProgress = unheard,
        skip_cache: bool = False,
    ) -> Outcome:
        """Answer a request.

        Args:
            request: what the reviewer said.
            user_id: whose request it is; what a model costs is paid from this user's budget.
            on_progress: is told of each step.
            skip_cache: work anew even when the answer is known.
        """


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


def _blend(area_vectors: Sequence[Vectors], description: Vectors) -> Vectors:
    mixed = AREA_SHARE * np.stack(area_vectors) + (1 - AREA_SHARE) * description
    norms = np.linalg.norm(mixed, axis=1, keepdims=True)
    blended: Vectors = (mixed / np.where(norms > 0, norms, 1)).astype(np.float32)
    return blended


class GenerateQuestions:
    """The work itself. It holds no state between requests; keeping and sharing answers is the business of its callers.

    Args:
        knowledge: catalogue, vocabulary and corpus.
        spaces: where descriptions are placed among the incidents.
        keywords: best incidents by words.
        model: adapts questions to the system; None for none.
        now: the present moment, in UTC.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        spaces: Spaces,
        keywords: KeywordIndex,
        model: LanguageModel | None = None,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._knowledge = knowledge
        self._spaces = spaces
        self._keywords = keywords
        self._model = model
        self._now = now

    def today(self) -> dt.date:
        """The date as of which regimes are judged."""
        return self._now().date()

    def key(self, request: ReviewRequest, as_of: dt.date) -> str:
        """A hash of all that changes the answer; two requests that mean the same have the same."""
        parts = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name in ReviewRequest.__slots__
            for value in [getattr(request, name)]
        }
        versions = [
            self._knowledge.corpus.version,
            self._knowledge.catalogue.version,
            (self._spaces.preferred or self._spaces.local).embedder.name,
            self._model.name if self._model else "",
        ]
        canonical = json.dumps([parts, versions, as_of.isoformat()], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    async def __call__(self, request: ReviewRequest, *, as_of: dt.date, on_progress: OnProgress = unheard) -> Generated:
        """Answer a request with all that is there.

        Args:
            request: what the reviewer said.
            as_of: the date as of which regimes are judged.
            on_progress: is told of each step.
        """
        with collect() as provenance:
            return await self._generate(request, as_of, on_progress, self._spaces, provenance)

    async def from_evidence(self, request: ReviewRequest, *, as_of: dt.date, degraded: Degradation) -> Generated:
        """Answer a request with what lies in this process alone, labelled with the reason."""
        with collect() as provenance:
            provenance.note(degraded.dependency, degraded.served, degraded.reason)
            return await self._generate(request, as_of, unheard, Spaces(self._spaces.local), provenance)

    async def _generate(
        self, request: ReviewRequest, as_of: dt.date, on_progress: OnProgress, spaces: Spaces, provenance: Provenance
    ) -> Generated:
        knowledge = self._knowledge
        facts = await asyncio.to_thread(normalise, request, knowledge.vocabulary)
        regimes = selection.applicable(knowledge.catalogue, facts)
        local = await self._spaces.local.embedder.embed([facts.description])
        chosen = self._choose(request, facts, regimes, local[0])
        on_progress(Progress("areas", len(chosen), len(chosen)))
        areas = [area for area, _ in chosen]
        space, placed = await spaces.place([facts.description], local)
        found = await self._retrieve(areas, facts, space, placed[0]) if areas else []
        on_progress(Progress("evidence", len(chosen), len(chosen)))

        def assemble() -> Generated:
            questions = self._weigh(request, chosen, found, facts, regimes, as_of)
            return self._finish(questions, facts, regimes, as_of, provenance)

        generated = await asyncio.to_thread(assemble)
        on_progress(Progress("weights", len(generated.questions), len(generated.questions)))
        return generated

    def _choose(
        self, request: ReviewRequest, facts: SystemFacts, regimes: Mapping[str, Regime], description: Vectors
    ) -> list[tuple[Area, selection.Fit]]:
        """In the local space: what is asked must not depend on who answers."""
        words = selection.words_of(affirmed(facts.description))
        binding = {key for key, regime in regimes.items() if regime.binds}
        rated = []
        for area in selection.candidates(self._knowledge.catalogue, facts, regimes):
            similarity = float(self._spaces.local.area_vectors[area.id] @ description)
            bound = area.domain == "compliance" and any(ref.regime in binding for ref in area.clauses)
            rated.append((area, selection.fit(area, facts, words, similarity, bound=bound)))
        available = Counter(area.domain for area, _ in rated)
        quota = selection.quotas(available, total=request.max_questions, per_domain=request.questions_per_domain)
        return selection.select(rated, quota)

    async def _retrieve(
        self, areas: Sequence[Area], facts: SystemFacts, space: Space, description: Vectors
    ) -> list[list[retrieval.Match]]:
        """One batch search by meaning and one by words, for all areas together."""
        corpus = self._knowledge.corpus
        allowed = corpus.evidence_for(facts.products)
        salient = " ".join(self._keywords.salient(facts.description, SALIENT_WORDS))
        queries = _blend([space.area_vectors[area.id] for area in areas], description)
        semantic, lexical = await asyncio.gather(
            space.index.search(queries, CANDIDATES, allowed),
            self._keywords.search([f"{area.query} {salient}" for area in areas], retrieval.MATCHES, allowed),
        )
        similarity = await asyncio.gather(
            *(_similarities(space, queries[row], semantic[row], lexical[row]) for row in range(len(areas))),
        )

        def join() -> list[list[retrieval.Match]]:
            return [
                retrieval.match(area, facts, corpus, semantic[row], lexical[row], similarity[row], space.nearness)
                for row, area in enumerate(areas)
            ]

        return await asyncio.to_thread(join)

    def _weigh(
        self,
        request: ReviewRequest,
        chosen: Sequence[tuple[Area, selection.Fit]],
        found: Sequence[Sequence[retrieval.Match]],
        facts: SystemFacts,
        regimes: Mapping[str, Regime],
        as_of: dt.date,
    ) -> list[tuple[Question, Sequence[retrieval.Match]]]:
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
            if question.final_weight >= request.min_weight:
                weighed.append((question, matches))
        weighed.sort(key=lambda pair: (-pair[0].final_weight, pair[0].id))
        return weighed

    def _finish(
        self,
        weighed: Sequence[tuple[Question, Sequence[retrieval.Match]]],
        facts: SystemFacts,
        regimes: Mapping[str, Regime],
        as_of: dt.date,
        provenance: Provenance,
    ) -> Generated:
        shown = retrieval.distribute([matches for _, matches in weighed])
        evidence = {match.incident.id: match for _, matches in weighed for match in matches}
        similarities = [match.similarity for matches in shown for match in matches]
        return Generated(
            questions=tuple(replace(question, related=tuple(own)) for (question, _), own in zip(weighed, shown, strict=True)),
            summary=summarise(match.incident for match in evidence.values()),
            facts=facts,
            regimes=tuple((regime, regime.status(as_of)) for regime in regimes.values()),
            incidents_found=len(evidence),
            average_similarity=round(sum(similarities) / len(similarities), 4) if similarities else 0.0,
            as_of=as_of,
            corpus_version=self._knowledge.corpus.version,
            catalogue_version=self._knowledge.catalogue.version,
            degraded=provenance.degraded,
            served=provenance.served,
            upstream_calls=provenance.calls,
        )


async def _similarities(space: Space, query: Vectors, semantic: Sequence[Hit], lexical: Sequence[Hit]) -> dict[str, float]:
    known = {hit.id: hit.score for hit in semantic}
    missing = [hit.id for hit in lexical if hit.id not in known]
    known.update(zip(missing, await space.index.compare(query, missing), strict=True))
    return known
