"""Accounts in SQL."""

from typing import Any, Final

import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database, storable
from sengol_api.adapters.sql.tables import users
from sengol_api.review.accounts import Role, User

_BY_EMAIL: Final = sa.select(users).where(users.c.email == sa.bindparam("email"))
_BY_ID: Final = sa.select(users).where(users.c.id == sa.bindparam("id"))


def _user(row: Any) -> User:  # noqa: ANN401 - a row of whichever columns
    return User(id=row.id, email=row.email, name=row.name, company=row.company, role=row.role, created_at=row.created_at)


class SqlUserStore:
    """The ``UserStore`` over the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User, password_hash: str) -> bool:
        """See the port."""
        values = {
            "id": user.id,
            "email": user.email,
            "password_hash": password_hash,
            "name": user.name,
            "company": user.company,
            "role": user.role,
            "created_at": user.created_at,
        }
        async with self._database.write() as connection:
            taken = await connection.scalar(sa.select(users.c.id).where(users.c.email == user.email))
            if taken is not None:
                return False
            try:
                async with connection.begin_nested():
                    await connection.execute(sa.insert(users).values(values))
            except sa.exc.IntegrityError:  # PostgreSQL: another replica was first, between the look and the write
                return False
            return True

    async def find(self, email: str) -> tuple[User, str] | None:
        """See the port."""
        if not storable(email):
            return None
        found = await self._database.rows(_BY_EMAIL, email=email)
        return (_user(found[0]), found[0].password_hash) if found else None

    async def get(self, user_id: str) -> User | None:
        """See the port."""
        if not storable(user_id):
            return None
        found = await self._database.rows(_BY_ID, id=user_id)
        return _user(found[0]) if found else None

    async def set_role(self, email: str, role: Role) -> User | None:
        """See the port."""
        if not storable(email):
            return None
        async with self._database.write() as connection:
            await connection.execute(sa.update(users).where(users.c.email == email).values(role=role))
            row = (await connection.execute(sa.select(users).where(users.c.email == email))).one_or_none()
        return _user(row) if row else None

    async def with_role(self, role: Role) -> list[User]:
        """See the port."""
        rows = await self._database.rows(sa.select(users).where(users.c.role == role).order_by(users.c.email))
        return [_user(row) for row in rows]
