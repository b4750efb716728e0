"""One call per domain, all at once, each by itself: where the model fails, the domain's questions stay as evidence made them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from sengol_api.review.area import DOMAINS, Domain
from sengol_api.review.assist.apply import Applied, apply, arrange
from sengol_api.review.assist.grounding import Embed, Examined, Grounding
from sengol_api.review.assist.places import Places
from sengol_api.review.assist.prompt import task
from sengol_api.review.errors import AppError
from sengol_api.review.facts import SystemFacts
from sengol_api.review.ports import LanguageModel, ModelAnswer
from sengol_api.review.question import Question

WORDED: Final = 12
"""Questions per domain that the model words: a model writes some 80 tokens a second, and a question takes about 120."""


@dataclass(frozen=True, slots=True)
class DomainOutcome:
    """What the model gave for a domain.

    Attributes:
        served: where the answer came from; ``evidence`` when nothing of the model is in the questions.
        reason: why it is not fresh, in words that may be shown; empty when it is.
        model: which model is in the questions; None when none is.
        calls: requests that were sent for an answer.
        reworded: how many questions hold words of the model.
        refused: how many of the texts and additions of the answer did not pass the checks.
        added: ids of the areas that it added.
    """

    domain: Domain
    served: Literal["fresh", "cached", "stale", "evidence"]
    reason: str
    model: str | None
    calls: int
    reworded: int = 0
    refused: int = 0
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Assisted:
    """All questions, in the order in which they are shown, and what each domain was made of."""

    questions: tuple[Question, ...]
    outcomes: tuple[DomainOutcome, ...]


async def assist(
    model: LanguageModel,
    asked: Sequence[Question],
    places: Mapping[Domain, Places],
    facts: SystemFacts,
    *,
    embed: Embed,
    worded: int = WORDED,
    subject: str = "",
) -> Assisted:
    """Let a model word, order and complete questions that are finished without it.

    It raises nothing but what the caller itself causes, by cancelling: a model that fails, in whatever way, costs its help only.

    Args:
        model: which.
        asked: the questions that evidence made, with the incidents that they show.
        places: what may be added, by domain.
        facts: the system.
        embed: a local embedder; its vectors are compared with each other only.
        worded: the model may word so many questions of a domain, the heaviest; it puts the rest in order.
        subject: of the review, by which the model knows it again.
    """
    domains = _domains(asked)
    own = {domain: [question for question in arrange(asked, {}) if question.domain == domain] for domain in domains}
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(_one(model, domain, own[domain], places.get(domain, Places()), facts, embed, worded, subject))
            for domain in domains
        ]
    done = [finished.result() for finished in running]
    rank = {key: place for _, order, _ in done for place, key in enumerate(order)}
    return Assisted(arrange([q for questions, _, _ in done for q in questions], rank), tuple(outcome for *_, outcome in done))


async def why_away(model: LanguageModel, subject: str) -> str:
    """Why the model has nothing on a subject now; empty when it may be asked, or when nobody knows."""
    try:
        return await model.away(subject)
    except Exception:  # noqa: BLE001 - whatever is wrong with a model must never cost a review
        return ""


def unassisted(asked: Sequence[Question], reason: str) -> tuple[DomainOutcome, ...]:
    """What is told of the domains when the model is known to be away. The questions stay as they are.

    Args:
        asked: the questions that evidence made.
        reason: why, in words that may be shown.
    """
    return tuple(DomainOutcome(domain, "evidence", reason, None, 0) for domain in _domains(asked))


def _domains(asked: Sequence[Question]) -> list[Domain]:
    return [domain for domain in DOMAINS if any(question.domain == domain for question in asked)]


_Done = tuple[Sequence[Question], Sequence[str], DomainOutcome]


async def _one(
    model: LanguageModel,
    domain: Domain,
    own: Sequence[Question],
    places: Places,
    facts: SystemFacts,
    embed: Embed,
    worded: int,
    subject: str,
) -> _Done:
    calls = 0
    try:
        reword, rank = own[:worded], own[worded:]
        # Made when there is an answer to look at, and in a thread: a model that is not there shall cost next to nothing.
        grounding = cache(lambda: Grounding(reword, rank, places, facts, embed))

        async def check(value: object) -> Sequence[str]:
            return await asyncio.to_thread(lambda: grounding().check(value))

        def taken(answer: ModelAnswer) -> _Done:
            examined = grounding().examine(answer.value)
            return _taken(domain, answer, examined, apply(own, places, examined))

        answer = await model.answer(await asyncio.to_thread(task, domain, reword, rank, places, facts, subject), check=check)
        calls = answer.calls
        return await asyncio.to_thread(taken, answer)
    except asyncio.CancelledError:
        # A cancellation that nobody asked of this task is a failure of what it waited for.
        if (current := asyncio.current_task()) is None or current.cancelling():
            raise
        reason = "the call of the model was cut off"
    except AppError as error:
        reason = error.message
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a model must never cost a review
        reason = f"the answer of the model could not be used ({type(error).__name__})"
    return own, (), DomainOutcome(domain, "evidence", reason, None, calls)


def _taken(domain: Domain, answer: ModelAnswer, examined: Examined, applied: Applied) -> _Done:
    """What a domain is made of after an answer."""
    refused = examined.parts - examined.passed
    if applied.reworded or applied.added or examined.order:
        outcome = DomainOutcome(
            domain, answer.served, answer.reason, answer.model, answer.calls, applied.reworded, refused, applied.added
        )
    else:
        reason = "nothing of the model's answer passed the checks" if examined.problems else "the model suggested nothing"
        outcome = DomainOutcome(domain, "evidence", reason, None, answer.calls, refused=refused)
    return applied.questions, examined.order, outcome
