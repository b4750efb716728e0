"""A model that cannot be reached is asked about what it has kept, by this replica or another, and about nothing else."""

import asyncio

import pytest

from sengol_api.adapters.known_subjects import KnownSubjects
from sengol_api.resilience import InMemoryTier, skip_cache
from sengol_api.resilience.testing import ManualClock, run_virtual
from sengol_api.review.errors import LLMError
from sengol_api.review.ports import ModelAnswer, ModelTask

OPEN = "its circuit breaker is open"


def task(subject):
    return ModelTask("t", "i", "d", {}, "1", subject)


class Model:
    """Reachable until it is said to be away."""

    name = "m"

    def __init__(self, served="fresh", problems=()) -> None:
        self.reason = ""
        self.answered = ModelAnswer({}, "m", served, "", 1, problems)

    async def away(self, subject):
        return self.reason

    async def answer(self, task, *, check):
        if self.reason:
            raise LLMError(self.reason)
        return self.answered


def known(model, clock, **more):
    return KnownSubjects(model, **{"entries": 10, "seconds": 100.0, "clock": clock, **more})


async def ask(model, subject):
    return await model.answer(task(subject), check=lambda _: ())


async def test_while_it_can_be_reached_it_may_have_an_answer_to_anything():
    assert await known(Model(), ManualClock()).away("never asked") == ""


async def test_what_it_answered_it_is_asked_about_again_as_long_as_that_is_kept():
    clock, inner = ManualClock(), Model()
    model = known(inner, clock)
    await ask(model, "known")
    inner.reason = OPEN
    assert (await model.away("known"), await model.away("unknown")) == ("", OPEN)
    clock.advance(100.0)
    assert await model.away("known") == OPEN


@pytest.mark.parametrize("inner", [Model(problems=("a number that no source has",)), Model("stale"), Model("cached")])
async def test_only_answers_that_are_kept_anew_make_a_subject_known(inner):
    model = known(inner, ManualClock())
    await ask(model, "subject")
    inner.reason = OPEN
    assert await model.away("subject") == OPEN


async def test_a_failure_makes_nothing_known():
    inner = Model()
    inner.reason = OPEN
    model = known(inner, ManualClock())
    with pytest.raises(LLMError):
        await ask(model, "subject")
    assert await model.away("subject") == OPEN


async def test_who_wants_nothing_that_is_kept_is_told_that_it_is_away():
    inner = Model()
    model = known(inner, ManualClock())
    await ask(model, "subject")
    inner.reason = OPEN
    with skip_cache():
        assert await model.away("subject") == OPEN


async def test_it_remembers_no_more_subjects_than_it_is_told_to():
    inner = Model()
    model = known(inner, ManualClock(), entries=3)
    for number in range(5):
        await ask(model, str(number))
    inner.reason = OPEN
    assert [await model.away(str(number)) for number in range(5)] == [OPEN, OPEN, "", "", ""]


def test_what_another_replica_was_answered_is_known_through_the_shared_tier():
    async def main(loop):
        tier, (one, other) = InMemoryTier(loop), (Model(), Model())
        there, here = (known(each, loop, tier=tier) for each in (one, other))
        other.reason = OPEN
        assert await here.away("subject") == OPEN
        await ask(there, "subject")
        await asyncio.sleep(1)  # it is written behind the answer
        assert await here.away("subject") == ""

    run_virtual(main)


def test_a_tier_that_hangs_delays_the_answer_by_its_own_time_limit():
    class Frozen(InMemoryTier):
        async def get(self, key):
            await asyncio.Event().wait()

    async def main(loop):
        inner = Model()
        inner.reason = OPEN
        model = known(inner, loop, tier=Frozen(loop))
        began = loop.now()
        assert await model.away("subject") == OPEN
        assert loop.now() - began <= 0.051

    run_virtual(main)
