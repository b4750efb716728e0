"""Two writers to one review, over separate connections as two replicas have them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.tables import question_sets
from sengol_api.review.errors import ConflictError
from sengol_api.review.reviews import QuestionSet
from support.toys import NOON


@pytest.fixture
async def other(url) -> AsyncIterator[SqlReviewStore]:
    """The reviews as another process sees them."""
    opened = Database(url)
    yield SqlReviewStore(opened)
    await opened.close()


def save(store, writer, expected=None):
    questions = QuestionSet(revision=0, risk={writer: 0.5}, compliance={}, document=writer.encode())
    return store.save_questions("user-1", "review-1", questions, expected_revision=expected, now=NOON)


async def test_two_saves_at_once_both_survive_as_revisions(database, reviews, other, review):
    revisions = await asyncio.gather(*(save(store, f"w{n}") for n, store in enumerate([reviews, other] * 5)))
    assert sorted(revisions) == list(range(1, 11))
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(question_sets.c.revision, question_sets.c.document))).all()
    assert {revision: document.decode() for revision, document in rows} == {r: f"w{n}" for n, r in enumerate(revisions)}


async def test_of_two_saves_on_one_revision_the_second_is_told(reviews, other, review):
    results = await asyncio.gather(save(reviews, "a", 0), save(other, "b", 0), return_exceptions=True)
    assert sorted(map(type, results), key=str) == sorted([int, ConflictError], key=str)
    winner = "ab"[results.index(1)]
    assert (await reviews.questions("user-1", "review-1")).risk == {winner: 0.5}


async def test_answers_to_different_questions_at_once_all_stay(reviews, other, review):
    stores = [reviews, other] * 10
    await asyncio.gather(
        *(store.put_answers("user-1", "review-1", {f"q{n}": "addressed"}, now=NOON) for n, store in enumerate(stores))
    )
    assert await other.answers("user-1", "review-1") == {f"q{n}": "addressed" for n in range(20)}


async def test_many_answers_at_once_to_the_same_questions_do_not_block_each_other(reviews, other, review):
    """Rows that were locked in two orders would be a deadlock."""
    keys = [f"q{n}" for n in range(30)]
    forward, backward = dict.fromkeys(keys, "addressed"), dict.fromkeys(reversed(keys), "not_addressed")
    await asyncio.gather(
        *(
            store.put_answers("user-1", "review-1", answers, now=NOON)
            for _ in range(5)
            for store, answers in ((reviews, forward), (other, backward))
        )
    )
    assert len(set((await reviews.answers("user-1", "review-1")).values())) == 1


async def test_a_save_that_is_cancelled_blocks_no_later_one(reviews, other, review):
    for after in range(12):
        task = asyncio.create_task(save(reviews, "cancelled"))
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(4):
        assert await save(other, "later") >= 1
        assert await save(reviews, "later") >= 2
