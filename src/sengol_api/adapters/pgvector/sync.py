"""Bringing the table of an embedder to what the store of record has: by digest, in batches, by one replica at a time."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sengol_api.adapters.pgvector.table import VectorTable, make_index
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change
from sengol_api.adapters.sql.tables import incidents
from sengol_api.adapters.sql.vectors import unpacked, with_vectors
from sengol_api.review.ports import Embedder

BATCH: Final = 500


async def synchronise(
    database: Database, table: VectorTable, embedder: Embedder, *, on_progress: Callable[[int], None] = lambda _: None
) -> Change:
    """Insert what is missing, replace what has changed, delete what is gone. Doing it twice changes nothing.

    Each batch is a transaction of its own, under a lock that replicas share: of two at once one does a batch, the other the next.

    Args:
        database: of the store of record and of the table.
        table: of the embedder; it is there.
        embedder: whose vectors.
        on_progress: is told how many more are done.

    Raises:
        DatabaseError: the database failed, or a stored vector is of another dimension.
    """
    added = changed = 0
    removed = await _remove_gone(database, table, embedder)
    while True:
        async with database.write() as connection:
            await table.alone(connection)
            rows = (await connection.execute(_differing(table, embedder))).all()
            if not rows:
                break
            vectors = unpacked([row.vector for row in rows], table.dimension)
            known = [row.known is not None for row in rows]
            for statement, wanted in ((_insert(table), False), (_update(table), True)):
                chosen = [place for place, is_known in enumerate(known) if is_known is wanted]
                if chosen:
                    await _write(connection, statement, table, [rows[place] for place in chosen], vectors[chosen].ravel().tolist())
        added += known.count(False)
        changed += known.count(True)
        on_progress(len(rows))
    await make_index(database, table)
    async with database.read() as connection:
        total = await connection.scalar(sa.text(f"SELECT count(*) FROM {table.name}"))
    return Change(added, changed, removed, (total or 0) - added - changed)


def _differing(table: VectorTable, embedder: Embedder) -> sa.Select[Any]:
    """Incidents whose vector is not in the table, or another one is."""
    joined, vector = with_vectors(embedder.name)
    kept = sa.table(table.name, sa.column("id"), sa.column("digest"))
    same = kept.c.id == incidents.c.id.collate("C")
    columns = sa.select(incidents.c.id, incidents.c.digest, vector.label("vector"), kept.c.id.label("known"))
    differs = kept.c.digest.is_(None) | (kept.c.digest != incidents.c.digest)
    return columns.select_from(joined.outerjoin(kept, same)).where(vector.is_not(None), differs).limit(BATCH)


async def _remove_gone(database: Database, table: VectorTable, embedder: Embedder) -> int:
    joined, vector = with_vectors(embedder.name)
    kept = sa.table(table.name, sa.column("id"))
    same = kept.c.id == incidents.c.id.collate("C")
    there = sa.select(sa.literal(1)).select_from(joined).where(same, vector.is_not(None)).correlate(kept)
    async with database.write() as connection:
        await table.alone(connection)
        result = await connection.execute(sa.delete(kept).where(~there.exists()))
    return int(result.rowcount)


_ROWS: Final = (
    "(SELECT u.id, u.digest, CAST((CAST(:vectors AS real[]))[(u.n - 1) * :dimension + 1 : u.n * :dimension] AS vector) AS vector "
    "FROM unnest(CAST(:ids AS text[]), CAST(:digests AS text[])) WITH ORDINALITY AS u(id, digest, n))"
)


def _insert(table: VectorTable) -> str:
    return f"INSERT INTO {table.name} (id, digest, vector) SELECT id, digest, vector FROM {_ROWS} AS fresh"


def _update(table: VectorTable) -> str:
    return f"UPDATE {table.name} AS t SET digest = fresh.digest, vector = fresh.vector FROM {_ROWS} AS fresh WHERE t.id = fresh.id"


async def _write(
    connection: AsyncConnection, statement: str, table: VectorTable, rows: Sequence[Any], vectors: list[float]
) -> None:
    values = {"ids": [row.id for row in rows], "digests": [row.digest for row in rows], "vectors": vectors}
    await connection.execute(sa.text(statement), {**values, "dimension": table.dimension})
