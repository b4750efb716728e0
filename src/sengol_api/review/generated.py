"""What the main job gives, and how it is asked for."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from sengol_api.review.facts import ReviewRequest, SystemFacts
from sengol_api.review.provenance import Degradation
from sengol_api.review.question import Question
from sengol_api.review.regime import Regime, Status
from sengol_api.review.statistics import Summary


@dataclass(frozen=True, slots=True)
class Progress:
    """A step of the work, for a person who waits."""

    stage: Literal["areas", "evidence", "weights", "model", "done"]
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
