"""``ReviewStore`` over SQLite and PostgreSQL."""

import datetime as dt

import pytest
import sqlalchemy as sa

from sengol_api.adapters.sql.tables import answers as answer_table
from sengol_api.adapters.sql.tables import question_sets
from sengol_api.review.errors import ConflictError, DatabaseError, NotFoundError
from sengol_api.review.reviews import QuestionSet
from support.toys import NOON

LATER = NOON + dt.timedelta(minutes=5)


def questions(**risk) -> QuestionSet:
    return QuestionSet(revision=0, risk=risk, compliance={"compliance.a": 0.1 + 0.2}, document=b'{"a": "\xc3\xa4"}\x00')


async def save(reviews, *, owner="user-1", review="review-1", expected=None, **risk) -> int:
    return await reviews.save_questions(owner, review, questions(**risk), expected_revision=expected, now=LATER)


async def test_a_review_comes_back_as_it_was_kept(reviews, review):
    assert await reviews.get("user-1", review.id) == review


async def test_an_unknown_review_is_none(reviews, review):
    assert await reviews.get("user-1", "review-2") is None
    assert await reviews.questions("user-1", "review-2") is None
    assert await reviews.answers("user-1", "review-2") == {}
    assert await reviews.delete("user-1", "review-2") is False


async def test_another_owner_neither_sees_nor_changes_a_review(reviews, review):
    await save(reviews, a=0.5)
    await reviews.put_answers("user-1", review.id, {"a": "addressed"}, now=LATER)
    assert await reviews.get("user-2", review.id) is None
    assert await reviews.questions("user-2", review.id) is None
    assert await reviews.answers("user-2", review.id) == {}
    assert await reviews.list("user-2", offset=0, limit=10) == ([], 0)
    assert await reviews.delete("user-2", review.id) is False
    with pytest.raises(NotFoundError):
        await save(reviews, owner="user-2", b=0.5)
    with pytest.raises(NotFoundError):
        await reviews.put_answers("user-2", review.id, {"a": "not_addressed"}, now=LATER)
    assert (await reviews.questions("user-1", review.id)).revision == 1
    assert await reviews.answers("user-1", review.id) == {"a": "addressed"}


async def test_a_list_is_newest_first_in_pages_with_the_total(reviews, review, a_review):
    for minute in (1, 3, 2):
        await reviews.add(a_review(f"at-{minute}", created_at=NOON + dt.timedelta(minutes=minute)))
    first, total = await reviews.list("user-1", offset=0, limit=3)
    rest, _ = await reviews.list("user-1", offset=3, limit=3)
    assert [r.id for r in first] == ["at-3", "at-2", "at-1"]
    assert [r.id for r in rest] == ["review-1"]
    assert total == 4
    assert await reviews.list("user-1", offset=99, limit=3) == ([], 4)


async def test_there_are_no_questions_before_the_first_save(reviews, review):
    assert await reviews.questions("user-1", review.id) is None


async def test_questions_come_back_to_the_last_bit(reviews, review):
    assert await save(reviews, a=0.1, b=1 / 3) == 1
    kept = await reviews.questions("user-1", review.id)
    assert kept == QuestionSet(
        revision=1, risk={"a": 0.1, "b": 1 / 3}, compliance={"compliance.a": 0.1 + 0.2}, document=b'{"a": "\xc3\xa4"}\x00'
    )


async def test_a_second_save_is_the_next_revision_and_keeps_the_first(database, reviews, review):
    assert [await save(reviews, a=0.1), await save(reviews, b=0.2)] == [1, 2]
    assert (await reviews.questions("user-1", review.id)).risk == {"b": 0.2}
    kept = await reviews.get("user-1", review.id)
    assert (kept.revision, kept.updated_at) == (2, LATER)
    async with database.read() as connection:
        rows = (await connection.execute(sa.select(question_sets).order_by(question_sets.c.revision))).all()
    assert [(row.revision, row.weights["risk"]) for row in rows] == [(1, {"a": 0.1}), (2, {"b": 0.2})]


async def test_a_save_on_an_old_revision_is_refused_and_changes_nothing(reviews, review):
    await save(reviews, expected=0, a=0.1)
    with pytest.raises(ConflictError) as caught:
        await save(reviews, expected=0, b=0.2)
    assert caught.value.metadata == {"currentRevision": 1, "expectedRevision": 0}
    assert (await reviews.questions("user-1", review.id)).risk == {"a": 0.1}
    assert await save(reviews, expected=1, b=0.2) == 2


async def test_answers_of_other_questions_stay_and_one_of_the_same_is_replaced(reviews, review):
    await reviews.put_answers("user-1", review.id, {"a": "addressed", "b": "not_addressed"}, now=NOON)
    await reviews.put_answers("user-1", review.id, {"b": "not_applicable", "c": "partially_addressed"}, now=LATER)
    assert await reviews.answers("user-1", review.id) == {"a": "addressed", "b": "not_applicable", "c": "partially_addressed"}
    assert (await reviews.get("user-1", review.id)).updated_at == LATER


async def test_the_same_answers_twice_are_the_same_answers(reviews, review):
    for _ in range(2):
        await reviews.put_answers("user-1", review.id, {"a": "addressed"}, now=LATER)
    assert await reviews.answers("user-1", review.id) == {"a": "addressed"}


async def test_no_answers_are_no_fault(reviews, review):
    await reviews.put_answers("user-1", review.id, {}, now=LATER)
    assert await reviews.answers("user-1", review.id) == {}


async def test_writing_to_a_review_that_is_not_there_is_not_found(reviews, review):
    with pytest.raises(NotFoundError):
        await save(reviews, review="review-2", a=0.1)
    with pytest.raises(NotFoundError):
        await reviews.put_answers("user-1", "review-2", {"a": "addressed"}, now=LATER)


async def test_a_removed_review_leaves_nothing_behind(database, reviews, review, a_review):
    await reviews.add(a_review("review-2"))
    for name in ("review-1", "review-2"):
        await save(reviews, review=name, a=0.1)
        await reviews.put_answers("user-1", name, {"a": "addressed"}, now=LATER)
    assert await reviews.delete("user-1", "review-1") is True
    assert await reviews.get("user-1", "review-1") is None
    async with database.read() as connection:
        for table in (question_sets, answer_table):
            assert (await connection.execute(sa.select(table.c.review_id))).scalars().all() == ["review-2"]


async def test_an_id_with_a_zero_character_is_that_of_no_review(reviews, review):
    assert await reviews.get("user-1", "review-1\0") is None


async def test_the_cause_of_a_failed_write_holds_nothing_that_was_to_be_written(reviews, a_review):
    """It goes into the log, with its trace."""
    orphan = a_review("orphan", owner="nobody", name="canary-name")
    with pytest.raises(DatabaseError) as caught:
        await reviews.add(orphan)
    assert "canary-name" not in str(caught.value.__cause__)
