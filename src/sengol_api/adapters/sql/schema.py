"""Bringing the schema up to date."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database

HEAD: Final = "0003"
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x53454E47  # any fixed number: two replicas that start at once must not migrate at once


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
