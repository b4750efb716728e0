"""The main job: from a description to questions, each with its own incidents."""

import asyncio
import datetime as dt
import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sengol_api.review import retrieval, selection
from sengol_api.review.area import Domain
from sengol_api.review.assist.assist import DomainOutcome, assist, unassisted, why_away
from sengol_api.review.assist.grounding import Embed
from sengol_api.review.assist.places import places, spare
from sengol_api.review.assist.prompt import PROMPT_VERSION
from sengol_api.review.evidence import Evidence, Knowledge, Rated, Weighed
from sengol_api.review.facts import ReviewRequest, SystemFacts, normalise
from sengol_api.review.generated import Generated, OnProgress, Progress, unheard
from sengol_api.review.ports import KeywordIndex, LanguageModel, Vectors
from sengol_api.review.provenance import FRESH, Degradation, Provenance, collect
from sengol_api.review.question import Question
from sengol_api.review.regime import Regime
from sengol_api.review.space import Spaces
from sengol_api.review.statistics import summarise
from sengol_api.review.vocabulary import affirmed

MODEL: Final = "model"


@dataclass(frozen=True, slots=True)
class Assistant:
    """A model that adapts questions to the system, and what its words are held against.

    Attributes:
        model: asked.
        embed: of the local embedder, at once.
    """

    model: LanguageModel
    embed: Embed


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked about: all candidates with their fit, those that are chosen, and how many a domain may have."""

    rated: Sequence[Rated]
    chosen: Sequence[Rated]
    quota: Mapping[Domain, int]


class GenerateQuestions:
    """The work itself. It holds no state between requests; keeping and sharing answers is the business of its callers.

    Args:
        knowledge: catalogue, vocabulary and corpus.
        spaces: where descriptions are placed among the incidents.
        keywords: best incidents by words.
        assistant: a model, and what checks it; None for none.
        now: the present moment, in UTC.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        spaces: Spaces,
        keywords: KeywordIndex,
        assistant: Assistant | None = None,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._knowledge = knowledge
        self._spaces = spaces
        self._evidence = Evidence(knowledge, keywords)
        self._assistant = assistant
        self._now = now

    def today(self) -> dt.date:
        """The date as of which regimes are judged."""
        return self._now().date()

    def key(self, request: ReviewRequest, as_of: dt.date) -> str:
        """A hash of all that changes the answer; two requests that mean the same have the same."""
        return self._hash(request, as_of.isoformat())

    def _hash(self, request: ReviewRequest, *more: str) -> str:
        parts = {
            name: sorted(value) if isinstance(value, frozenset) else value
            for name in ReviewRequest.__slots__
            for value in [getattr(request, name)]
        }
        versions = [
            self._knowledge.corpus.version,
            self._knowledge.catalogue.version,
            (self._spaces.preferred or self._spaces.local).embedder.name,
            f"{self._assistant.model.name}/{PROMPT_VERSION}" if self._assistant else "",
        ]
        canonical = json.dumps([parts, versions, *more], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    async def __call__(
        self,
        request: ReviewRequest,
        *,
        as_of: dt.date,
        on_progress: OnProgress = unheard,
        on_evidence: Callable[[Generated], None] = lambda _: None,
    ) -> Generated:
        """Answer a request with all that is there.

        Args:
            request: what the reviewer said.
            as_of: the date as of which regimes are judged.
            on_progress: is told of each step.
            on_evidence: is given the answer that evidence makes, before a model is asked, which may take too long.
        """
        with collect() as provenance:
            return await self._generate(request, as_of, on_progress, on_evidence, self._spaces, self._assistant, provenance)

    async def from_evidence(self, request: ReviewRequest, *, as_of: dt.date, degraded: Degradation) -> Generated:
        """Answer a request with what lies in this process alone, labelled with the reason."""
        with collect() as provenance:
            provenance.note(degraded.dependency, degraded.served, degraded.reason)
            spaces = Spaces(self._spaces.local)
            return await self._generate(request, as_of, unheard, lambda _: None, spaces, None, provenance)

    async def _generate(
        self,
        request: ReviewRequest,
        as_of: dt.date,
        on_progress: OnProgress,
        on_evidence: Callable[[Generated], None],
        spaces: Spaces,
        assistant: Assistant | None,
        provenance: Provenance,
    ) -> Generated:
        subject = self._hash(request)  # without the date: what a model said yesterday is as good today
        away = "" if assistant is None else await why_away(assistant.model, subject)
        if away:
            assistant = None
        facts = await asyncio.to_thread(normalise, request, self._knowledge.vocabulary, self._knowledge.corpus.products)
        regimes = selection.applicable(self._knowledge.catalogue, facts)
        local = await self._spaces.local.embedder.embed([facts.description])
        plan = await asyncio.to_thread(self._plan, request, facts, regimes, local[0])
        spares = spare(plan.rated, plan.chosen) if assistant else []
        on_progress(Progress("areas", len(plan.chosen), len(plan.chosen)))
        space, placed = await spaces.place([facts.description], local)
        areas = [area for area, _ in (*plan.chosen, *spares)]
        found = await self._evidence.retrieve(areas, facts, space, placed[0])
        on_progress(Progress("evidence", len(plan.chosen), len(plan.chosen)))

        def weigh(rated: Sequence[Rated], matches: Sequence[Sequence[retrieval.Match]]) -> list[Weighed]:
            return self._evidence.weigh(rated, matches, facts, regimes, as_of, least=request.min_weight)

        count = len(plan.chosen)
        asked, offered = await asyncio.to_thread(
            lambda: _shown(weigh(plan.chosen, found[:count]), weigh(spares, found[count:])),
        )
        on_progress(Progress("weights", len(asked), len(asked)))
        questions: Sequence[Question] = [each.question for each in asked]
        matches = {each.question.id: each.matches for each in (*asked, *offered)}

        async def finished(questions: Sequence[Question], model: str | None) -> Generated:
            return await asyncio.to_thread(self._finished, questions, matches, facts, regimes, as_of, model, provenance)

        if assistant is None:
            if away:
                _told(unassisted(questions, away), provenance)
            return await finished(questions, None)
        by_evidence = await finished(questions, None)
        on_evidence(by_evidence)
        fits = {area.id: fit.score for area, fit in plan.chosen}
        free = places(questions, [each.question for each in offered], fits, plan.quota)
        assisted = await assist(assistant.model, questions, free, facts, embed=assistant.embed, subject=subject)
        model = _told(assisted.outcomes, provenance)
        on_progress(Progress("model", len(assisted.questions), len(assisted.questions)))
        if model is None:  # it changed nothing but what is told of it
            return replace(by_evidence, degraded=provenance.degraded, served=provenance.served, upstream_calls=provenance.calls)
        return await finished(assisted.questions, model)

    def _plan(self, request: ReviewRequest, facts: SystemFacts, regimes: Mapping[str, Regime], description: Vectors) -> _Plan:
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
        return _Plan(rated, selection.select(rated, quota), quota)

    def _finished(
        self,
        questions: Sequence[Question],
        matches: Mapping[str, Sequence[retrieval.Match]],
        facts: SystemFacts,
        regimes: Mapping[str, Regime],
        as_of: dt.date,
        model: str | None,
        provenance: Provenance,
    ) -> Generated:
        evidence = {match.incident.id: match for question in questions for match in matches[question.id]}
        similarities = [match.similarity for question in questions for match in question.related]
        return Generated(
            questions=tuple(questions),
            summary=summarise(match.incident for match in evidence.values()),
            facts=facts,
            regimes=tuple((regime, regime.status(as_of)) for regime in regimes.values()),
            incidents_found=len(evidence),
            average_similarity=round(sum(similarities) / len(similarities), 4) if similarities else 0.0,
            as_of=as_of,
            corpus_version=self._knowledge.corpus.version,
            catalogue_version=self._knowledge.catalogue.version,
            model=model,
            degraded=provenance.degraded,
            served=provenance.served,
            upstream_calls=provenance.calls,
        )


def _shown(asked: Sequence[Weighed], offered: Sequence[Weighed]) -> tuple[list[Weighed], list[Weighed]]:
    """Give each question the incidents that it shows. What is only offered takes none from those that are asked."""
    shown = retrieval.distribute([each.matches for each in asked])
    beside = retrieval.distribute([each.matches for each in offered], shown)
    return _with(asked, shown), _with(offered, beside)


def _with(weighed: Sequence[Weighed], shown: Sequence[Sequence[retrieval.Match]]) -> list[Weighed]:
    return [Weighed(replace(each.question, related=tuple(own)), each.matches) for each, own in zip(weighed, shown, strict=True)]


def _told(outcomes: Sequence[DomainOutcome], provenance: Provenance) -> str | None:
    """Label what the model did for each domain; which models had a part in the answer."""
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for outcome in outcomes:
        alike[outcome.served, outcome.reason].append(outcome.domain)
    for (served, reason), domains in alike.items():
        provenance.note(MODEL, served, f"{', '.join(domains)}: {reason}" if served not in {FRESH, "cached"} else "")
    return ", ".join(sorted({outcome.model for outcome in outcomes if outcome.model})) or None
