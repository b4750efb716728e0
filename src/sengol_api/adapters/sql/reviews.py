"""Reviews in SQL."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sengol_api.adapters.sql.engine import Database, storable, upsert
from sengol_api.adapters.sql.tables import answers, question_sets, reviews
from sengol_api.review.errors import ConflictError, NotFoundError
from sengol_api.review.reviews import Answer, QuestionSet, Review


def _review(row: Any) -> Review:  # noqa: ANN401 - a row of whichever columns
    return Review(
        id=row.id,
        owner_id=row.owner_id,
        name=row.name,
        revision=row.revision,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _owned(statement: Any, owner_id: Any, review_id: Any) -> Any:  # noqa: ANN401 - select, update and delete; values and parameters
    return statement.where(reviews.c.id == review_id, reviews.c.owner_id == owner_id)


# Made once: to put a statement together takes longer than SQLite needs to answer it.
_OWNER: Final[sa.BindParameter[str]] = sa.bindparam("owner_id")
_ID: Final[sa.BindParameter[str]] = sa.bindparam("review_id")
_OWN: Final = _owned(sa.select(reviews), _OWNER, _ID)
_COUNT: Final = sa.select(sa.func.count().label("total")).select_from(reviews).where(reviews.c.owner_id == _OWNER)
_NEWEST: Final = (
    sa.select(reviews, sa.func.count().over().label("total"))
    .where(reviews.c.owner_id == _OWNER)
    .order_by(reviews.c.created_at.desc(), reviews.c.id)
    .offset(sa.bindparam("offset"))
    .limit(sa.bindparam("limit"))
)
_LATEST: Final = _owned(
    sa.select(question_sets).join(
        reviews, (reviews.c.id == question_sets.c.review_id) & (reviews.c.revision == question_sets.c.revision)
    ),
    _OWNER,
    _ID,
)
_ANSWERS: Final = _owned(
    sa.select(answers.c.question_id, answers.c.answer).join(reviews, reviews.c.id == answers.c.review_id), _OWNER, _ID
)


class SqlReviewStore:
    """The ``ReviewStore`` over the database. Every saved set of questions stays, so a second writer destroys nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, review: Review) -> None:
        """See the port."""
        values = {name: getattr(review, name) for name in Review.__slots__}
        async with self._database.write() as connection:
            await connection.execute(sa.insert(reviews).values(values))

    async def get(self, owner_id: str, review_id: str) -> Review | None:
        """See the port."""
        if not storable(review_id):
            return None
        found = await self._database.rows(_OWN, owner_id=owner_id, review_id=review_id)
        return _review(found[0]) if found else None

    async def list(self, owner_id: str, *, offset: int, limit: int) -> tuple[list[Review], int]:
        """See the port."""
        found = await self._database.rows(_NEWEST, owner_id=owner_id, offset=offset, limit=limit)
        if found:
            return [_review(row) for row in found], found[0].total
        ((total,),) = await self._database.rows(_COUNT, owner_id=owner_id)  # a page behind the last one
        return [], total

    async def delete(self, owner_id: str, review_id: str) -> bool:
        """See the port."""
        async with self._database.write() as connection:
            result = await connection.execute(_owned(sa.delete(reviews), owner_id, review_id))
            return result.rowcount > 0

    async def save_questions(
        self,
        owner_id: str,
        review_id: str,
        questions: QuestionSet,
        *,
        expected_revision: int | None,
        now: dt.datetime,
    ) -> int:
        """See the port."""
        async with self._database.write() as connection:
            present = await _locked_revision(connection, owner_id, review_id)
            if expected_revision is not None and expected_revision != present:
                raise ConflictError(
                    f"The review is at revision {present}, not {expected_revision}: somebody saved since you read it. "
                    "Read it again, and save your changes on top of that.",
                    {"currentRevision": present, "expectedRevision": expected_revision},
                )
            await connection.execute(
                sa.insert(question_sets).values(
                    review_id=review_id,
                    revision=present + 1,
                    weights={"risk": questions.risk, "compliance": questions.compliance},
                    document=questions.document,
                    created_at=now,
                ),
            )
            changed = sa.update(reviews).values(revision=present + 1, updated_at=now)
            await connection.execute(_owned(changed, owner_id, review_id))
            return present + 1

    async def questions(self, owner_id: str, review_id: str) -> QuestionSet | None:
        """See the port."""
        found = await self._database.rows(_LATEST, owner_id=owner_id, review_id=review_id)
        if not found:
            return None
        row = found[0]
        return QuestionSet(
            revision=row.revision, risk=row.weights["risk"], compliance=row.weights["compliance"], document=row.document
        )

    async def put_answers(self, owner_id: str, review_id: str, given: Mapping[str, Answer], *, now: dt.datetime) -> None:
        """See the port."""
        rows = [
            {"review_id": review_id, "question_id": key, "answer": value, "updated_at": now} for key, value in sorted(given.items())
        ]
        async with self._database.write() as connection:
            await _locked_revision(connection, owner_id, review_id)
            if rows:
                await connection.execute(upsert(connection, answers, ["review_id", "question_id"]), rows)
            await connection.execute(_owned(sa.update(reviews).values(updated_at=now), owner_id, review_id))

    async def answers(self, owner_id: str, review_id: str) -> dict[str, Answer]:
        """See the port."""
        rows = await self._database.rows(_ANSWERS, owner_id=owner_id, review_id=review_id)
        return {row.question_id: row.answer for row in rows}


async def _locked_revision(connection: AsyncConnection, owner_id: str, review_id: str) -> int:
    statement = _owned(sa.select(reviews.c.revision), owner_id, review_id).with_for_update()
    revision = await connection.scalar(statement)
    if revision is None:
        raise NotFoundError("There is no such review.", {"reviewId": review_id})
    return int(revision)
