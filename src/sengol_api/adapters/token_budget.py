"""What a user may spend on a model in a day: reserved before a call, settled after it."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from sengol_api.adapters.openai.errors import LateAnswerError
from sengol_api.resilience import Clock, Pipeline, RateLimit, RateStore, Registry, TimedOut
from sengol_api.resilience.clock import SYSTEM_CLOCK
from sengol_api.review.errors import LLMError
from sengol_api.review.ports import AnswerCheck, LanguageModel, ModelAnswer, ModelTask

DAY: Final = 86_400.0
CHARACTERS_PER_TOKEN: Final = 4
ANSWER_TOKENS: Final = 3_000
"""What an answer takes, about, before it is known."""

_charged: ContextVar[str | None] = ContextVar("charged_to", default=None)


@contextmanager
def charged_to(user_id: str | None) -> Iterator[None]:
    """Calls of a model inside are paid from this user's budget; None: from nobody's."""
    token = _charged.set(user_id)
    try:
        yield
    finally:
        _charged.reset(token)


class BudgetedModel:
    """A ``LanguageModel`` that each user may ask for so many tokens in a day.

    Who has used them up is answered without the model, and told when there is more. The budget refills evenly over the day.

    Args:
        model: asked.
        tokens_per_day: of each user.
        store: counts for all replicas; None: each counts for itself.
        registry: where the limit is entered.
        clock: whose time counts.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokens_per_day: int,
        *,
        store: RateStore | None = None,
        registry: Registry | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._model = model
        self._pipeline = Pipeline("limit.tokens", RateLimit(rate=tokens_per_day, period=DAY, store=store), clock=clock)
        self._settling: set[asyncio.Task[None]] = set()
        if registry is not None:
            registry.add(self._pipeline)

    @property
    def name(self) -> str:
        """See the port."""
        return self._model.name

    async def away(self, subject: str) -> str:
        """See the port."""
        return await self._model.away(subject)

    async def answer(self, task: ModelTask, *, check: AnswerCheck) -> ModelAnswer:
        """See the port.

        Raises:
            LLMError: there is no answer, or the budget of the user is used up.
        """
        user = _charged.get()
        if user is None:
            return await self._model.answer(task, check=check)
        limit = self._pipeline["rate_limit"]
        asked = (len(task.instructions) + len(task.data)) // CHARACTERS_PER_TOKEN
        reserved = asked + ANSWER_TOKENS
        decision = await limit.acquire_shared(user, reserved)
        if not decision.allowed:
            raise LLMError(
                f"the account's budget of model tokens is used up{_when(decision.retry_after)}", retry_after=decision.retry_after
            )
        used = 0
        try:
            answer = await self._model.answer(task, check=check)
            used = answer.tokens
        except (LateAnswerError, TimedOut, asyncio.CancelledError):
            used = asked  # it may have been read, and is billed then
            raise
        finally:
            self._settle(user, reserved, used)
        return answer

    def _settle(self, user: str, reserved: int, used: int) -> None:
        """In a task of its own: a caller that is cancelled, or has no time left, settles all the same."""
        task = asyncio.ensure_future(self._pipeline["rate_limit"].settle_shared(user, reserved, used))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)


def _when(seconds: float | None) -> str:
    return "" if seconds is None else f"; there is more in {max(1, math.ceil(seconds / 60))} min"
