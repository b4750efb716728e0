"""The schema that the migrations make, on both databases."""

import subprocess
import sys

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.sql.schema import HEAD, MIGRATIONS, migrate
from sengol_api.adapters.sql.tables import metadata
from sengol_api.review.errors import DatabaseError
from support.builders import make_incident
from support.earlier import write_as_the_version_before
from support.process import environment
from support.toys import NOON, BagOfWords

STARTERS = 2


async def test_the_migrations_make_the_tables_that_the_code_uses(database):
    def differences(connection):
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_constraints_have_the_names_that_the_code_gives_them(database):
    def names(connection):
        inspector = sa.inspect(connection)
        return {
            table: {
                *(key["name"] for key in inspector.get_foreign_keys(table)),
                *(index["name"] for index in inspector.get_indexes(table) if not index.get("duplicates_constraint")),
                *(unique["name"] for unique in inspector.get_unique_constraints(table)),
            }
            for table in metadata.tables
        }

    async with database.read() as connection:
        found = await connection.run_sync(names)
    wanted = {
        "reviews": {"fk_reviews_owner_id", "ix_reviews_owner_id"},
        "question_sets": {"fk_question_sets_review_id"},
        "answers": {"fk_answers_review_id"},
        "incidents": {"ix_incidents_origin"},
        "incident_vectors": {"fk_incident_vectors_incident_id", "ix_incident_vectors_incident_id"},
        "users": {"uq_users_email"},
        "corpus_origins": set(),
        "admin_acts": set(),
    }
    assert found == wanted


def test_the_head_that_spares_loading_alembic_is_the_last_migration():
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


async def test_a_second_migration_has_nothing_to_do(empty_url):
    database = Database(empty_url)
    try:
        assert await migrate(database) is True
        assert await migrate(database) is False
    finally:
        await database.close()


def _upgrade(connection, revision):
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def test_the_vectors_of_the_version_before_are_those_of_their_embedder(empty_url):
    database = Database(empty_url)
    embedder, incident = BagOfWords(), make_incident("a")
    try:
        async with database.write() as connection:
            await connection.run_sync(_upgrade, "0001")
            await write_as_the_version_before(connection, [incident], embedder)
        assert await migrate(database) is True
        async with database.read() as connection:
            rows = (await connection.execute(sa.text("SELECT embedder, incident_id FROM incident_vectors"))).all()
        assert rows == [(embedder.name, "a")]
        stored = await SqlIncidentStore(database, embedder, now=lambda: NOON).load()
        assert stored.incidents == [incident]
        np.testing.assert_array_equal(stored.vectors, await embedder.embed([incident.searchable]))
    finally:
        await database.close()


async def test_a_schema_of_a_later_version_is_left_as_it_is(empty_url):
    database = Database(empty_url)
    try:
        await migrate(database)
        async with database.write() as connection:
            await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        assert await migrate(database) is False
    finally:
        await database.close()


_MIGRATE = """
import asyncio, sys
import alembic.command
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.sql.schema import migrate

async def work():
    database = Database(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        return await migrate(database)
    finally:
        await database.close()

print(asyncio.run(work()))
"""


def test_processes_that_migrate_at_once_all_succeed(empty_url):
    command = [sys.executable, "-c", _MIGRATE, empty_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment()}
    started = [subprocess.Popen(command, **pipes) for _ in range(STARTERS)]
    try:
        assert [process.stdout.readline() for process in started] == ["ready\n"] * STARTERS
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        outcomes = [process.communicate(timeout=60)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert set(outcomes) <= {"True\n", "False\n"}
    assert "True\n" in outcomes


async def test_a_database_without_tables_fails_as_a_database_error(empty_url):
    from sengol_api.adapters.sql.users import SqlUserStore

    database = Database(empty_url)
    try:
        with pytest.raises(DatabaseError) as caught:
            await SqlUserStore(database).get("user-1")
        assert "users" not in str(caught.value.metadata)
    finally:
        await database.close()
