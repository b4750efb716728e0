"""The vectors of incidents in SQL, those of several embedders side by side.

A vector counts as long as its incident is the one that it was made from, which the digests tell. An incident that a replica of the
version before wrote has its vector in the old columns of ``incidents`` only; it counts as well, until they are dropped.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

import msgspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sengol_api.adapters.sql.engine import Database, upsert
from sengol_api.adapters.sql.tables import incident_vectors, incidents
from sengol_api.review.errors import DatabaseError
from sengol_api.review.incident import Incident
from sengol_api.review.ports import Embedder, Vectors

DAMAGED: Final = "A stored incident is damaged. Restore the database, or start with a new one."
_decoder = msgspec.json.Decoder(Incident)


class Text(NamedTuple):
    """What an embedder has not embedded yet.

    Attributes:
        incident_id: whose text it is.
        digest: of that state of the incident.
        text: what is to be embedded.
    """

    incident_id: str
    digest: str
    text: str


class Coverage(NamedTuple):
    """How many incidents have a vector of an embedder, of how many."""

    done: int
    total: int


def with_vectors(embedder_name: str) -> tuple[sa.FromClause, sa.ColumnElement[bytes]]:
    """Incidents joined with what an embedder made of them, and the vector: NULL where there is none that counts."""
    made = incident_vectors.alias("made")
    counts = (made.c.incident_id == incidents.c.id) & (made.c.embedder == embedder_name) & (made.c.digest == incidents.c.digest)
    old = sa.case((incidents.c.embedder == embedder_name, incidents.c.vector))
    return incidents.outerjoin(made, counts), sa.func.coalesce(made.c.vector, old)


def packed(vector: Vectors) -> bytes:
    """A vector as it is stored: little-endian float32."""
    return vector.astype("<f4").tobytes()


def unpacked(rows: Sequence[bytes], dimension: int) -> Vectors:
    """Stored vectors as one array, shape (rows, dimension).

    Raises:
        DatabaseError: one of them is of another length.
    """
    if not set(map(len, rows)) <= {4 * dimension}:
        raise DatabaseError(DAMAGED)
    return np.frombuffer(b"".join(rows), dtype="<f4").reshape(len(rows), dimension)


class SqlVectors:
    """Keeps the vectors of incidents by embedder.

    Args:
        database: where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def coverage(self, embedder_name: str) -> Coverage:
        """How far the work of an embedder has come."""
        joined, vector = with_vectors(embedder_name)
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(sa.func.count(vector), sa.func.count()).select_from(joined))).one()
        return Coverage(row[0], row[1])

    async def all(self, embedder: Embedder) -> tuple[list[str], Vectors]:
        """The ids of all incidents that the embedder has embedded, sorted, and their vectors, shape (ids, dimension).

        Raises:
            DatabaseError: a vector is of another dimension.
        """
        joined, vector = with_vectors(embedder.name)
        columns = sa.select(incidents.c.id, vector.label("vector")).select_from(joined).where(vector.is_not(None))
        async with self._database.read() as connection:
            rows = sorted((await connection.execute(columns)).all(), key=itemgetter(0))
        return [key for key, _ in rows], unpacked([vector for _, vector in rows], embedder.dimension)

    async def missing_texts(self, embedder_name: str, *, after: str = "", limit: int) -> list[Text]:
        """Texts that the embedder has not embedded, at most ``limit``, in the order of their digests, from ``after`` on.

        Raises:
            DatabaseError: a row holds no incident.
        """
        joined, vector = with_vectors(embedder_name)
        columns = sa.select(incidents.c.id, incidents.c.digest, incidents.c.document).select_from(joined)
        wanted = columns.where(vector.is_(None), incidents.c.digest > after).order_by(incidents.c.digest).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).all()
        try:
            return [Text(row.id, row.digest, _decoder.decode(row.document).searchable) for row in rows]
        except msgspec.DecodeError as error:
            raise DatabaseError(DAMAGED) from error

    async def put(self, embedder_name: str, texts: Sequence[Text], vectors: Vectors) -> int:
        """Keep what an embedder made of texts, except where the incident has changed or gone meanwhile.

        Returns:
            How many were kept.
        """
        ids = [text.incident_id for text in texts]
        # Locked on PostgreSQL, so that no incident can go between the look and the write; SQLite has one writer at a time.
        state = sa.select(incidents.c.id, incidents.c.digest).where(incidents.c.id.in_(ids)).order_by(incidents.c.id)
        async with self._database.write() as connection:
            locked = await connection.execute(state.with_for_update(read=True, key_share=True))
            present = {row.id: row.digest for row in locked}
            kept = {
                text.incident_id: (text.digest, vector)
                for text, vector in zip(texts, vectors, strict=True)
                if present.get(text.incident_id) == text.digest
            }
            await put_vectors(connection, embedder_name, kept)
        return len(kept)


async def put_vectors(connection: AsyncConnection, embedder_name: str, made: Mapping[str, tuple[str, Vectors]]) -> None:
    """Write vectors within a transaction.

    Args:
        connection: that writes.
        embedder_name: whose they are.
        made: digest of the incident and vector, by the incident's id.
    """
    rows = [
        {"embedder": embedder_name, "incident_id": key, "digest": digest, "vector": packed(vector)}
        for key, (digest, vector) in sorted(made.items())
    ]
    if rows:
        await connection.execute(upsert(connection, incident_vectors, ["embedder", "incident_id"]), rows)


async def keep_where_text_is_unchanged(
    connection: AsyncConnection, changed: Mapping[str, Incident], digests: Mapping[str, str]
) -> None:
    """Let the vectors of all embedders count for incidents that are about to change in anything but their text.

    Args:
        connection: that writes.
        changed: what the incidents are to be, by id.
        digests: theirs.
    """
    stored = sa.select(incidents.c.id, incidents.c.digest, incidents.c.document).where(incidents.c.id.in_(changed))
    moves = [
        {"which": row.id, "before": row.digest, "after": digests[row.id]}
        for row in await connection.execute(stored)
        if _text(row.document) == changed[row.id].searchable
    ]
    if moves:
        same = (incident_vectors.c.incident_id == sa.bindparam("which")) & (incident_vectors.c.digest == sa.bindparam("before"))
        await connection.execute(sa.update(incident_vectors).where(same).values(digest=sa.bindparam("after")), moves)


def _text(document: bytes) -> str | None:
    try:
        return _decoder.decode(document).searchable
    except msgspec.DecodeError:
        return None
