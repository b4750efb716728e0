"""Which areas the model may add, and whose place they would take. Both are settled by arithmetic before it is asked.

An area that the model adds costs another its place, so the model chooses among equals only: those at the edge of the selection.
At least nine in ten of a domain's questions stay whatever it says, and what comes weighs more than what goes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sengol_api.review.area import DOMAINS, Area, Domain
from sengol_api.review.question import Question
from sengol_api.review.selection import Fit

OFFERED: Final = 4
MARGIN: Final = 0.15
ONE_IN: Final = 10

Rated = tuple[Area, Fit]


@dataclass(frozen=True, slots=True)
class Places:
    """What the model may add in a domain.

    Attributes:
        offered: complete questions, with their own evidence and weight, that the model may add by naming them.
        yielding: ids of the questions that make room, the first to go first; empty where places are free.
        limit: at most so many are added.
    """

    offered: tuple[Question, ...] = ()
    yielding: tuple[str, ...] = ()
    limit: int = 0


def spare(rated: Sequence[Rated], chosen: Sequence[Rated]) -> list[Rated]:
    """The areas that fit next best, at most four per domain, and hardly worse than the last one chosen; best first, ties by id."""
    taken = {area.id for area, _ in chosen}
    found: list[Rated] = []
    for domain in DOMAINS:
        scores = [fit.score for area, fit in chosen if area.domain == domain]
        rest = [
            (area, fit)
            for area, fit in rated
            if area.domain == domain and area.id not in taken and scores and fit.score >= min(scores) - MARGIN
        ]
        found += sorted(rest, key=lambda pair: (-pair[1].score, pair[0].id))[:OFFERED]
    return found


def places(
    asked: Sequence[Question], spares: Sequence[Question], fits: Mapping[str, float], quota: Mapping[Domain, int]
) -> dict[Domain, Places]:
    """Settle the places of each domain.

    Args:
        asked: the questions that evidence chose.
        spares: the questions of the spare areas, weighed and complete.
        fits: how well each asked area fits the system, by id.
        quota: how many questions a domain may have.
    """
    return {domain: _places(domain, asked, spares, fits, quota.get(domain, 0)) for domain in DOMAINS}


def _places(domain: Domain, asked: Sequence[Question], spares: Sequence[Question], fits: Mapping[str, float], quota: int) -> Places:
    own = [question for question in asked if question.domain == domain]
    offered = tuple(question for question in spares if question.domain == domain)
    if free := max(0, quota - len(own)):
        return Places(offered, (), min(free, len(offered)))
    free_to_go = [question for question in own if not _bound(question)]
    yielding = sorted(free_to_go, key=lambda question: (fits[question.id], question.final_weight, question.id))[
        : len(own) // ONE_IN
    ]
    heaviest = max((question.final_weight for question in yielding), default=1.0)
    heavier = tuple(question for question in offered if question.final_weight > heaviest)
    going = tuple(question.id for question in yielding[: len(heavier)])
    return Places(heavier if going else (), going, len(going))


def _bound(question: Question) -> bool:
    """Whether it is a compliance question that something binding asks for: that is no matter of fit, and it never makes room."""
    return question.domain == "compliance" and any(regulation.status == "binding" for regulation in question.regulations)
