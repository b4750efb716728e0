"""What passed is put into the questions: words, order and labels. No weight, id, count or clause is touched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sengol_api.review.area import Domain
from sengol_api.review.assist.grounding import Examined, Rewording
from sengol_api.review.assist.places import Places
from sengol_api.review.question import Question


@dataclass(frozen=True, slots=True)
class Applied:
    """The questions of a domain.

    Attributes:
        questions: those that stay, and those that were added.
        added: ids of the added ones.
        reworded: how many of the questions hold words of the model.
    """

    questions: tuple[Question, ...]
    added: tuple[str, ...]
    reworded: int


def apply(asked: Sequence[Question], places: Places, examined: Examined) -> Applied:
    """Merge an examined answer into a domain's questions."""
    offered = {question.id: question for question in places.offered}
    added = tuple(key for key in examined.add if key in offered)[: places.limit]
    going = frozenset(places.yielding[: len(added)])
    kept = [question for question in asked if question.id not in going]
    new = [replace(offered[key], generated_from="llm") for key in added]
    merged = tuple(_merge(question, examined.rewordings.get(question.id)) for question in (*kept, *new))
    changed = sum(merged_one is not before for merged_one, before in zip(merged, (*kept, *new), strict=True))
    return Applied(merged, added, changed)


def _merge(question: Question, rewording: Rewording | None) -> Question:
    if rewording is None:
        return question
    count = len(question.mitigations)
    first = [position for position in dict.fromkeys(rewording.mitigations) if 0 <= position < count]
    order = [*first, *(position for position in range(count) if position not in first)]
    shown = {match.incident.id for match in question.related}
    importance = f"{rewording.importance} {question.importance}" if rewording.importance else question.importance
    merged = replace(
        question,
        text=rewording.question or question.text,
        importance=importance,
        mitigations=tuple(question.mitigations[position] for position in order),
        cited=tuple(key for key in rewording.cites if key in shown),
    )
    if merged == question:
        return question
    return merged if merged.generated_from == "llm" else replace(merged, generated_from="hybrid")


def arrange(questions: Sequence[Question], rank: Mapping[str, int]) -> tuple[Question, ...]:
    """Put questions in the order of their weight; where weights print alike, to two decimals, the model's order decides.

    Only questions of one domain change places with each other: the orders of two calls cannot be compared.

    Args:
        questions: of all domains.
        rank: place in the model's order, by id; a question without one comes after those that have one.
    """
    ordered = sorted(questions, key=lambda question: (-question.final_weight, question.id))
    ties: dict[tuple[str, Domain], list[int]] = {}
    for slot, question in enumerate(ordered):
        ties.setdefault((f"{question.final_weight:.2f}", question.domain), []).append(slot)
    arranged = list(ordered)
    for slots in ties.values():
        tied = sorted((ordered[slot] for slot in slots), key=lambda question: rank.get(question.id, len(rank)))
        for slot, question in zip(slots, tied, strict=True):
            arranged[slot] = question
    return tuple(arranged)
