"""The main job under policies: kept, shared, in time, and labelled."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest

from sengol_api.adapters.answers import DEGRADED_TTL, Answers, AnswersOptions, size_of
from sengol_api.resilience import Registry, deadline
from sengol_api.resilience.testing import VirtualLoop, run_virtual
from sengol_api.review.errors import LLMError
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.provenance import Degradation, count_call, note
from sengol_api.review.space import Spaces
from support.toys import NOON, toy_world

REQUEST = ReviewRequest(description="An assistant that can be steered by hidden instructions.", domains=frozenset({"ai", "cyber"}))


class Remote:
    """An embedder of another service, which does what a test says before it answers."""

    name = "remote"

    def __init__(self, embedder, before) -> None:
        self._embedder = embedder
        self._before = before
        self.dimension = embedder.dimension
        self.calls = 0
        self.asked = asyncio.Event()

    async def embed(self, texts):
        self.calls += 1
        self.asked.set()
        count_call()
        await self._before()
        note("embeddings", "fresh")
        return await self._embedder.embed(texts)


async def nothing():
    pass


async def remote_world(before=nothing):
    """The toy world with an embedder of another service above the local one."""
    world = await toy_world()
    embedder = Remote(world.embedder, before)
    world.spaces = Spaces(world.spaces.local)
    world.spaces.preferred = replace(world.spaces.local, embedder=embedder)
    return world, embedder


def under(loop, world, **options):
    return Answers(world.use_case(), AnswersOptions(**options), clock=loop)


async def test_an_answer_is_kept_and_given_again():
    answers = (await toy_world()).answers()
    first, second = await answers(REQUEST), await answers(REQUEST)
    assert (first.cache, second.cache) == ("miss", "hit")
    assert second.generated is first.generated
    assert (await answers(REQUEST, skip_cache=True)).cache == "miss"


async def test_nothing_is_kept_when_that_is_not_wanted():
    answers = (await toy_world()).answers(enabled=False)
    assert [(await answers(REQUEST)).cache for _ in range(2)] == ["miss", "miss"]


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Something else altogether."},
        {"domains": frozenset({"ai"})},
        {"jurisdictions": frozenset({"US"})},
        {"industry": "healthcare"},
        {"tech": frozenset({"llm"})},
        {"data_types": frozenset({"phi"})},
        {"criticality": "critical"},
        {"max_questions": 1},
        {"questions_per_domain": 1},
        {"min_weight": 0.6},
    ],
)
async def test_another_request_never_gets_a_kept_answer(change):
    answers = (await toy_world()).answers()
    await answers(REQUEST)
    assert (await answers(replace(REQUEST, **change))).cache == "miss"


async def test_the_next_day_is_another_answer_because_laws_begin():
    moments = [NOON, NOON + dt.timedelta(days=1)]
    answers = (await toy_world()).answers(now=lambda: moments.pop(0))
    await answers(REQUEST)
    assert (await answers(REQUEST)).cache == "miss"


async def test_those_who_ask_the_same_at_the_same_time_share_one_piece_of_work():
    world, embedder = await remote_world(lambda: asyncio.sleep(0.01))
    answers = world.answers()
    steps = [[] for _ in range(50)]
    outcomes = await asyncio.gather(*(answers(REQUEST, on_progress=told.append) for told in steps))
    assert embedder.calls == 1
    assert [outcome.upstream_calls for outcome in outcomes] == [1] + [0] * 49
    assert len({id(outcome.generated) for outcome in outcomes}) == 1
    assert all([step.stage for step in told] == ["areas", "evidence", "weights"] for told in steps)


async def test_who_goes_away_spoils_nothing_for_the_others():
    release = asyncio.Event()
    world, embedder = await remote_world(release.wait)
    answers = world.answers()
    leader, follower = (asyncio.create_task(answers(REQUEST)) for _ in range(2))
    await embedder.asked.wait()
    leader.cancel()
    release.set()
    assert (await follower).generated.questions
    assert embedder.calls == 1


async def test_work_for_nobody_is_stopped():
    ended = []

    async def hang():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    world, embedder = await remote_world(hang)
    task = asyncio.create_task(world.answers()(REQUEST))
    await embedder.asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert ended == [True]


def test_whoever_hangs_an_answer_is_there_before_the_deadline():
    async def main(loop):
        world, _ = await remote_world(asyncio.Event().wait)
        started = loop.time()
        with deadline(10.0, clock=loop):
            outcome = await under(loop, world)(REQUEST)
        assert loop.time() - started < 10.0
        return world, outcome

    loop = VirtualLoop()
    world, outcome = run_virtual(main, loop=loop)
    [degraded] = outcome.generated.degraded
    assert (degraded.dependency, degraded.served) == ("review", "evidence")
    assert "in time" in degraded.reason
    alone = asyncio.run(world.use_case(spaces=Spaces(world.spaces.local))(REQUEST, as_of=NOON.date()))
    assert outcome.generated.questions == alone.questions


def test_a_fault_in_the_work_is_answered_from_evidence():
    async def fail():
        raise RuntimeError("a secret of the vendor")

    async def main(loop):
        world, _ = await remote_world(fail)
        return await under(loop, world)(REQUEST)

    generated = run_virtual(main).generated
    assert generated.questions
    assert generated.degraded == (Degradation("review", "evidence", "the assisted answer was not ready: it failed"),)


def test_an_answer_that_had_to_do_without_something_is_soon_forgotten():
    async def main(loop):
        failing = [True]

        async def before():
            if failing[0]:
                raise LLMError("it cannot be reached")

        world, _ = await remote_world(before)
        answers = under(loop, world)
        first = await answers(REQUEST)
        assert [d.served for d in first.generated.degraded] == ["local"]
        failing[0] = False
        assert (await answers(REQUEST)).cache == "hit"
        await asyncio.sleep(DEGRADED_TTL + 1)
        healed = await answers(REQUEST)
        assert (healed.cache, healed.generated.degraded) == ("miss", ())
        assert dict(healed.generated.served)["embeddings"] == ("fresh",)

    run_virtual(main)


async def test_rungs_are_counted_once_for_each_piece_of_work():
    world, _ = await remote_world()
    counted = []
    registry = Registry()
    answers = Answers(world.use_case(), AnswersOptions(), registry=registry, on_served=lambda *rung: counted.append(rung))
    for _ in range(3):
        await answers(REQUEST)
    assert counted == [("embeddings", "fresh")]
    assert registry.snapshot()["review"]["cache"].hits == 2


def test_an_answer_serves_two_event_loops_in_a_row():
    world = asyncio.run(toy_world())
    answers = world.answers()
    assert [asyncio.run(answers(REQUEST)).cache for _ in range(2)] == ["miss", "hit"]


async def test_kept_answers_take_no_more_memory_than_they_may():
    world = await toy_world()
    one = size_of((await world.answers()(REQUEST)).generated)
    answers = world.answers(size=3 * one + one // 2)
    for number in range(6):
        await answers(replace(REQUEST, industry=None, max_questions=100, description=f"{REQUEST.description} {number}"))
    held = answers.pipeline["cache"].snapshot()
    assert held.bytes <= 3 * one + one // 2
    assert (held.entries, held.evictions) == (3, 3)


async def test_a_long_description_counts_with_what_it_takes():
    world = await toy_world()
    short = (await world.answers()(REQUEST)).generated
    long = (await world.answers()(replace(REQUEST, description=REQUEST.description + " …" * 10_000))).generated
    assert size_of(long) - size_of(short) > 30_000
