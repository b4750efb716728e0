"""What every connection to SQLite is told, without which an acknowledged write could be lost or two writers fail."""

import asyncio

import pytest
import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.sqlite import BUSY_TIMEOUT_MS
from sengol_api.review.errors import DatabaseError

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


async def test_single_statements_are_read_with_the_same_care_and_by_many_at_once(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    try:
        ((timeout,),) = await database.rows(sa.text("PRAGMA busy_timeout"))
        assert timeout == BUSY_TIMEOUT_MS
        number = sa.select(sa.bindparam("number", type_=sa.Integer))
        found = await asyncio.gather(*(database.rows(number, number=each) for each in range(50)))
        assert [rows[0][0] for rows in found] == list(range(50))
    finally:
        await database.close()


async def test_who_is_cancelled_while_it_reads_leaves_the_connections_to_others(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    slow = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n")
    try:
        for _ in range(4):
            reading = asyncio.ensure_future(database.rows(slow))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert await database.rows(sa.text("SELECT 1")) == [(1,)]
    finally:
        await database.close()


async def test_what_a_read_fails_by_is_told_as_a_fault_of_the_database(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    try:
        with pytest.raises(DatabaseError, match="could not be read"):
            await database.rows(sa.text("SELECT * FROM nothing"))
    finally:
        await database.close()
