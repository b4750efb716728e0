"""The databases that every SQL adapter is held against: SQLite in a file, and a real PostgreSQL."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.schema import migrate
from sengol_api.adapters.sql.tables import metadata
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.review.accounts import User
from sengol_api.review.reviews import Review
from support.given import Given, keep
from support.postgres import postgres_server
from support.toys import NOON

BOTH = [pytest.param("sqlite", id="sqlite"), pytest.param("postgres", id="postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The server's URL, with ``{}`` for the name of a database. It may lose what it has when the machine does."""
    with postgres_server() as url:
        for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "CREATE DATABASE migrated"):
            asyncio.run(run_sql(url.format("postgres"), statement))
        yield url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """An SQLite file with the schema, to be copied."""
    file = tmp_path_factory.mktemp("schema") / "migrated.sqlite3"
    asyncio.run(_migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def migrated_database(postgres) -> str:
    """The URL of a PostgreSQL database with the schema, to be emptied before each use."""
    asyncio.run(_migrate(url := postgres.format("migrated")))
    return url


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        assert await migrate(database)
    finally:
        await database.close()


async def run_sql(url: str, statement: str) -> None:
    """One statement over a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def pgvector_url(postgres) -> str:
    """The URL of a PostgreSQL database with the schema, for tables of vectors; each test has an embedder of its own."""
    asyncio.run(run_sql(postgres.format("postgres"), "CREATE DATABASE vectors"))
    asyncio.run(_migrate(url := postgres.format("vectors")))
    return url


@pytest.fixture
async def pgvector(pgvector_url):
    """Makes a ``PgVectorIndex`` of ids and their vectors."""
    from sengol_api.adapters.pgvector import PgVectorIndex, PgVectorOptions

    database = Database(pgvector_url)

    async def make(ids, vectors, **options):
        embedder = Given(f"given-{uuid.uuid4().hex}", ids, vectors)
        await keep(database, embedder, ids)
        return await PgVectorIndex.open(database, embedder, options=PgVectorOptions(**options))

    yield make
    await database.close()


@pytest.fixture(params=BOTH)
def empty_url(request, tmp_path) -> str:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    url, name = request.getfixturevalue("postgres"), f"t{uuid.uuid4().hex}"
    asyncio.run(run_sql(url.format("postgres"), f"CREATE DATABASE {name}"))
    return url.format(name)


@pytest.fixture(params=BOTH)
def url(request, tmp_path) -> str:
    """The URL of a database with the schema and nothing in it."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), file := tmp_path / "test.sqlite3")
        return f"sqlite:///{file}"
    url = request.getfixturevalue("migrated_database")
    asyncio.run(run_sql(url, f"TRUNCATE {', '.join(metadata.tables)}"))
    return url


@pytest.fixture
async def database(url) -> AsyncIterator[Database]:
    """A database with the schema and nothing in it."""
    opened = Database(url)
    yield opened
    await opened.close()


@pytest.fixture
def users(database) -> SqlUserStore:
    """The accounts of it."""
    return SqlUserStore(database)


@pytest.fixture
def reviews(database) -> SqlReviewStore:
    """The reviews of it."""
    return SqlReviewStore(database)


def make_user(identity="user-1", **fields) -> User:
    """An account."""
    told = {"email": f"{identity}@example.com", "name": "R. Viewer", "company": None, "role": "user", "created_at": NOON}
    return User(id=identity, **{**told, **fields})


def make_review(identity="review-1", owner="user-1", **fields) -> Review:
    """A review without questions."""
    told = {"name": "Triage assistant", "revision": 0, "created_at": NOON, "updated_at": NOON}
    return Review(id=identity, owner_id=owner, **{**told, **fields})


@pytest.fixture
def a_user():
    """Makes an account."""
    return make_user


@pytest.fixture
def a_review():
    """Makes a review."""
    return make_review


@pytest.fixture
async def review(users, reviews) -> Review:
    """A review that is kept already."""
    await users.add(make_user(), "hash")
    await reviews.add(kept := make_review())
    return kept
