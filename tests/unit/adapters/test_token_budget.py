"""What a user may spend on a model in a day."""

import asyncio

import pytest

from sengol_api.adapters.token_budget import ANSWER_TOKENS, BudgetedModel, charged_to
from sengol_api.resilience import InMemoryRateStore, TimedOut
from sengol_api.resilience.testing import ManualClock
from sengol_api.review.errors import LLMError
from sengol_api.review.ports import ModelAnswer, ModelTask

TASK = ModelTask(name="t", instructions="i" * 2000, data="d" * 2000, schema={}, prompt_version="1")
RESERVED = 1000 + ANSWER_TOKENS


class Model:
    """Takes so many tokens, or fails."""

    name = "m"

    def __init__(self, tokens=0, error=None) -> None:
        self.tokens, self.error = tokens, error
        self.calls = 0

    async def answer(self, task, *, check):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return ModelAnswer(value={}, model="m", served="fresh", reason="", calls=1, tokens=self.tokens)


def budgeted(model, tokens=2 * RESERVED, **more):
    return BudgetedModel(model, tokens, clock=more.pop("clock", ManualClock()), **more)


async def ask(model, user="user-1"):
    try:
        with charged_to(user):
            return await model.answer(TASK, check=lambda _: ())
    finally:
        await asyncio.sleep(0)  # what was reserved is settled in a task


async def asked_until_refused(model, most=50):
    for number in range(most):
        try:
            await ask(model)
        except LLMError as error:
            if "budget" in error.message:
                return number, error
        except TimedOut:
            pass
    return most, None


async def test_what_was_reserved_and_not_used_is_given_back():
    inner = Model(tokens=RESERVED // 10)
    number, refused = await asked_until_refused(budgeted(inner))
    assert number == inner.calls == 11  # ten tenths are used of the first half; the last one still finds a whole reservation
    assert refused.retry_after > 0
    assert refused.message.startswith("the account's budget of model tokens is used up; there is more in ")


async def test_what_was_used_beyond_the_reservation_is_owed():
    number, _ = await asked_until_refused(budgeted(Model(tokens=2 * RESERVED)))
    assert number == 1


async def test_there_is_more_after_a_while_and_each_user_has_his_own():
    clock = ManualClock()
    model = budgeted(Model(tokens=RESERVED), clock=clock)
    _, refused = await asked_until_refused(model)
    await ask(model, "user-2")
    clock.advance(refused.retry_after + 0.001)
    await ask(model)


async def test_an_answer_from_the_cache_costs_nothing():
    assert (await asked_until_refused(budgeted(Model(tokens=0))))[1] is None


async def test_a_failure_costs_nothing_and_a_timeout_what_may_have_been_read():
    assert (await asked_until_refused(budgeted(Model(error=LLMError("refused")))))[1] is None
    number, _ = await asked_until_refused(budgeted(Model(error=TimedOut("openai", "timeout", 1.0))))
    assert number == 5  # a thousand each, until less than a reservation is left of eight thousand


async def test_who_is_nobody_is_not_counted():
    model = budgeted(Model(tokens=10 * RESERVED))
    for _ in range(3):
        await ask(model, None)


async def test_a_cancelled_caller_settles_all_the_same():
    class Hanging(Model):
        async def answer(self, task, *, check):
            self.calls += 1
            await asyncio.Event().wait()

    model = budgeted(Hanging())
    for _ in range(5):
        task = asyncio.create_task(ask(model))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
    with pytest.raises(LLMError, match="budget"):
        await ask(model)


async def test_replicas_share_a_budget_through_their_store():
    clock = ManualClock()
    store = InMemoryRateStore(clock)
    one, two = (budgeted(Model(tokens=RESERVED), clock=clock, store=store) for _ in range(2))
    await ask(one)
    await ask(two)
    await asyncio.sleep(0.01)
    with pytest.raises(LLMError, match="budget"):
        await ask(one)
