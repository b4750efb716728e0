"""The table of one embedder's vectors, and what the server must have for it."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sengol_api.adapters.sql.engine import Database
from sengol_api.review.errors import DatabaseError, VectorDBError
from sengol_api.review.ports import Embedder

OLDEST: Final = (0, 8)
"""The first version whose index goes on searching when a filter leaves too few."""

LONGEST_INDEXED: Final = 2000
"""Dimensions that an index can have; above it every search is exact."""

_INSTALL: Final = (
    "Install it on the server's machine (Debian, Ubuntu with the packages of postgresql.org: apt-get install "
    "postgresql-NN-pgvector, NN being the server's version; managed services have it: switch it on), or set VECTOR_INDEX=embedded."
)


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Where an embedder's vectors are.

    Attributes:
        name: of the table: ``vectors_`` and a fingerprint of the embedder.
        dimension: of the vectors.
        lock: number of the advisory lock that replicas take to change it.
    """

    name: str
    dimension: int
    lock: int

    @classmethod
    def of(cls, embedder: Embedder) -> "VectorTable":
        """The table of an embedder."""
        fingerprint = hashlib.sha256(f"{embedder.name}/{embedder.dimension}".encode()).digest()
        return cls(f"vectors_{fingerprint.hex()[:16]}", embedder.dimension, int.from_bytes(fingerprint[:8], signed=True))

    @property
    def index(self) -> str:
        """The name of its index."""
        return f"ix_{self.name}_hnsw"

    async def alone(self, connection: AsyncConnection) -> None:
        """Let no other replica change the table until the transaction ends."""
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": self.lock})


async def make_table(database: Database, table: VectorTable) -> None:
    """Make the extension and the table, where they are missing.

    Raises:
        VectorDBError: the database has no pgvector, an old one, or does not let us create it; the message says what to do.
        DatabaseError: the database failed.
    """
    if not (await extension(database)).installed:
        await _install(database)
    async with database.write() as connection:
        await table.alone(connection)
        await connection.execute(
            sa.text(
                f"CREATE TABLE IF NOT EXISTS {table.name} ("
                "number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
                'id text COLLATE "C" NOT NULL UNIQUE, '
                "digest varchar(64) NOT NULL, "
                f"vector vector({table.dimension}) NOT NULL)"
            )
        )


async def make_index(database: Database, table: VectorTable) -> None:
    """Make the index of the table, where it is missing; on a full table that is much faster than before it is filled.

    Raises:
        DatabaseError: the database failed.
    """
    if table.dimension > LONGEST_INDEXED:
        return
    async with database.write() as connection:
        await table.alone(connection)
        # By one process: several share memory that a container has 64 MiB of.
        await connection.execute(sa.text("SET LOCAL max_parallel_maintenance_workers = 0"))
        await connection.execute(sa.text("SET LOCAL maintenance_work_mem = '256MB'"))
        await connection.execute(
            sa.text(f"CREATE INDEX IF NOT EXISTS {table.index} ON {table.name} USING hnsw (vector vector_ip_ops)")
        )


@dataclass(frozen=True, slots=True)
class Extension:
    """pgvector in a database.

    Attributes:
        version: that it has, or would have.
        installed: whether it has been created there.
    """

    version: str
    installed: bool


async def extension(database: Database) -> Extension:
    """The extension that a database has, or can be given.

    Raises:
        VectorDBError: the database can have none, or has one that is too old; the message says what to do.
        DatabaseError: the database failed.
    """
    if database.is_sqlite:
        raise VectorDBError(
            "VECTOR_INDEX=pgvector takes PostgreSQL: set DATABASE_URL to one, or VECTOR_INDEX=embedded for the SQLite file."
        )
    async with database.read() as connection:
        installed = await connection.scalar(sa.text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
        offered = await connection.scalar(sa.text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"))
    found = installed or offered
    if found is None:
        raise VectorDBError(f"VECTOR_INDEX=pgvector: this PostgreSQL has no pgvector. {_INSTALL}")
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        what = "Run ALTER EXTENSION vector UPDATE" if installed and installed != offered else _INSTALL
        raise VectorDBError(f"VECTOR_INDEX=pgvector takes pgvector {wanted} or newer, this PostgreSQL has {found}. {what}")
    return Extension(found, installed is not None)


async def _install(database: Database) -> None:
    try:
        async with database.write() as connection:
            await connection.execute(sa.text("SELECT pg_advisory_xact_lock(7665637)"))  # CREATE … IF NOT EXISTS can collide
            await connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DatabaseError as error:
        raise VectorDBError(
            "VECTOR_INDEX=pgvector: the extension could not be created. Let somebody who may do so run, once in this "
            "database: CREATE EXTENSION vector",
            error.metadata,
        ) from error
