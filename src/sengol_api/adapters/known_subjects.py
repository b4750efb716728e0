"""Subjects that a model has kept answers on: a model that cannot be reached is asked about those all the same."""

from typing import Final

from sengol_api.resilience import Cache, Clock, Pipeline, Registry, Tier
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.review.ports import AnswerCheck, LanguageModel, ModelAnswer, ModelTask

NAME: Final = "openai.subjects"


_KEPT: Final = "kept"


class _UnknownSubject(Exception):  # noqa: N818 - nobody sees it
    """No answer on it is kept."""


async def _unknown(_: str) -> str:
    raise _UnknownSubject


class KnownSubjects:
    """A ``LanguageModel`` that keeps answers, in a cache of its own, as the service asks it.

    While it cannot be reached, only what it has kept can be served. Whether there is something cannot be seen before the tasks are
    made, for its answers are kept under those. So the subjects are kept too, as long as the answers, and where those are.

    Args:
        model: asked; it keeps its answers.
        entries: subjects that are remembered.
        seconds: how long an answer can be served, the time in which it is stale included.
        tier: where other replicas keep the answers, and so the subjects.
        registry: where the pipeline is entered.
        clock: whose time counts.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        entries: int,
        seconds: float,
        tier: Tier | None = None,
        registry: Registry | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._model = model
        kept = Cache(max_entries=entries, ttl=seconds, tier=tier, key=lambda subject: subject)
        self._pipeline = Pipeline(NAME, kept, clock=clock)
        self._cache = self._pipeline["cache"]
        if registry is not None:
            registry.add(self._pipeline)

    @property
    def name(self) -> str:
        """See the port."""
        return self._model.name

    async def away(self, subject: str) -> str:
        """See the port."""
        reason = await self._model.away(subject)
        if not reason:
            return ""
        try:
            await self._pipeline.call(_unknown, subject)
        except _UnknownSubject:
            return reason
        return ""

    async def answer(self, task: ModelTask, *, check: AnswerCheck) -> ModelAnswer:
        """See the port."""
        answer = await self._model.answer(task, check=check)
        if answer.served == "fresh" and not answer.problems:  # one with problems is not kept
            self._cache.put(task.subject, _KEPT)
        return answer
