"""What every connection to SQLite is told, without which an acknowledged write could be lost or two writers fail."""

import pytest
import sqlalchemy as sa

from sengol_api.adapters.sql.engine import BUSY_TIMEOUT_MS, Database

FULL = 2


@pytest.mark.parametrize("access", ["read", "write"])
@pytest.mark.parametrize(
    ("pragma", "value"), [("synchronous", FULL), ("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", BUSY_TIMEOUT_MS)]
)
async def test_a_connection_is_durable_waits_its_turn_and_keeps_references(tmp_path, access, pragma, value):
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    try:
        async with getattr(database, access)() as connection:
            assert await connection.scalar(sa.text(f"PRAGMA {pragma}")) == value
    finally:
        await database.close()


async def test_the_address_is_shown_as_it_was_given_without_its_password():
    database = Database("postgresql://someone:canary@localhost/name")
    try:
        assert database.shown_url == "postgresql://someone:***@localhost/name"
    finally:
        await database.close()
