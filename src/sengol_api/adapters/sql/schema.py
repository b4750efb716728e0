"""Bringing the schema up to date; and who does such work, of replicas that start at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database

HEAD: Final = "0003"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x53454E47  # any fixed number: two replicas that start at once must not migrate at once
_LOADING: Final = _LOCK + 1
LOADING_SECONDS: Final = 120
"""For which one replica waits for another to load: it would do the same, and one that is frozen must not keep all from starting."""


async def migrate(database: Database) -> bool:
    """Run the migrations that are missing.

    Returns:
        Whether there were any. Knowing the head spares every later start the loading of Alembic. A schema that a later version
        made is left as it is: each version keeps the one before it working, so that replicas of both can run at once.
    """
    async with database.read() as connection:
        if (await connection.run_sync(_revision) or "") >= HEAD:
            return False
    async with database.write() as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        await connection.run_sync(_upgrade)
    return True


@asynccontextmanager
async def loading_alone(database: Database) -> AsyncIterator[None]:
    """Let one replica at a time load what is the same for all; the others wait. A file of SQLite is guarded by its data directory.

    It spares work and keeps nothing right: who has waited for two minutes goes on beside the other.
    """
    if database.is_sqlite:
        yield
        return
    async with database.read() as connection:
        await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOADING_SECONDS}s'"))
        try:
            async with connection.begin_nested():
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOADING})
        except sa.exc.DBAPIError:
            pass
        yield


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
