"""The audit log in SQL."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final

import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.tables import admin_acts
from sengol_api.ops.audit import Act

_LOCK: Final = 0x41554449  # any fixed number, another than that of the migrations
_SINCE: Final = (
    sa.select(admin_acts).where(admin_acts.c.id > sa.bindparam("number")).order_by(admin_acts.c.id).limit(sa.bindparam("limit"))
)
_NAMES: Final = [field.name for field in fields(Act)]


def _act(row: Any) -> Act:  # noqa: ANN401 - a row of whichever columns
    return Act(**{name: getattr(row, name) for name in _NAMES})


class SqlAuditLog:
    """The ``AuditLog`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, act: Act) -> Act:
        """See the port."""
        values = {name: getattr(act, name) for name in _NAMES if name != "id"}
        async with self._database.write() as connection:
            if connection.dialect.name == "postgresql":
                # Numbers must appear in their order: who follows the log would miss one that is committed after a higher one.
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            result = await connection.execute(sa.insert(admin_acts).values(values).returning(admin_acts.c.id))
            return replace(act, id=result.scalar_one())

    async def page(self, *, offset: int, limit: int) -> tuple[list[Act], int]:
        """See the port."""
        newest = sa.select(admin_acts).order_by(admin_acts.c.id.desc()).offset(offset).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(newest)).all()
            total = await connection.scalar(sa.select(sa.func.count()).select_from(admin_acts))
        return [_act(row) for row in rows], total or 0

    async def since(self, number: int, *, limit: int) -> list[Act]:
        """See the port."""
        return [_act(row) for row in await self._database.rows(_SINCE, number=number, limit=limit)]

    async def latest(self, actions: Sequence[str]) -> list[Act]:
        """See the port."""
        numbers = sa.select(sa.func.max(admin_acts.c.id)).where(admin_acts.c.action.in_(actions)).group_by(admin_acts.c.target)
        last = sa.select(admin_acts).where(admin_acts.c.id.in_(numbers)).order_by(admin_acts.c.id)
        return [_act(row) for row in await self._database.rows(last)]

    async def last_number(self) -> int:
        """See the port."""
        ((number,),) = await self._database.rows(sa.select(sa.func.max(admin_acts.c.id)))
        return number or 0
