"""Incidents and their vectors in SQL: the store of record, from which every index can be built again."""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec
import numpy as np
import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database, upsert
from sengol_api.adapters.sql.tables import corpus_origins, incidents
from sengol_api.review.errors import DatabaseError
from sengol_api.review.incident import Incident
from sengol_api.review.ports import Embedder, Vectors

BATCH: Final = 512
_decoder = msgspec.json.Decoder(Incident)


@dataclass(frozen=True, slots=True)
class Change:
    """What a load did."""

    added: int
    changed: int
    removed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class Stored:
    """All incidents, sorted by id, with their vectors in the same order, shape (n, dimension)."""

    incidents: list[Incident]
    vectors: Vectors
    version: str


def _batches(items: Iterable[Incident]) -> Iterator[list[Incident]]:
    source = iter(items)
    while batch := list(islice(source, BATCH)):
        yield batch


class SqlIncidentStore:
    """Keeps incidents by origin: ``genai-incidents``, ``sengol``, ``ingested``.

    Args:
        database: where.
        embedder: makes the vectors; those of another embedder are made anew.
        now: the present moment, in UTC.
    """

    def __init__(self, database: Database, embedder: Embedder, *, now: Callable[[], dt.datetime]) -> None:
        self._database = database
        self._embedder = embedder
        self._now = now

    async def versions(self) -> dict[str, str]:
        """The version of each origin that the store holds."""
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(corpus_origins.c.origin, corpus_origins.c.version))).all()
        return {row.origin: row.version for row in rows}

    async def put(
        self,
        origin: str,
        items: Sequence[Incident],
        *,
        version: str | None = None,
        remove_others: bool = False,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Change:
        """Keep incidents. Doing it twice changes nothing; a crash in between leaves whole batches and no version.

        Args:
            origin: where they come from.
            items: the incidents; of two with one id the later counts.
            version: what to call the state afterwards; by default a hash of what the origin then holds.
            remove_others: drop what the origin had and ``items`` has not.
            on_progress: is told how many more are done.
        """
        wanted = {item.id: item for item in items}
        known = await self._digests(origin)
        added = changed = 0
        for batch in _batches(wanted.values()):
            documents = {item.id: msgspec.json.encode(item) for item in batch}
            digests = {key: hashlib.sha256(document).hexdigest() for key, document in documents.items()}
            fresh = [item for item in batch if known.get(item.id) != (digests[item.id], self._embedder.name)]
            if fresh:
                vectors = await self._embedder.embed([item.searchable for item in fresh])
                rows = [
                    {
                        "id": item.id,
                        "origin": origin,
                        "digest": digests[item.id],
                        "document": documents[item.id],
                        "embedder": self._embedder.name,
                        "vector": vector.astype("<f4").tobytes(),
                    }
                    for item, vector in zip(fresh, vectors, strict=True)
                ]
                async with self._database.write() as connection:
                    await connection.execute(upsert(connection, incidents, ["id"]), rows)
            added += sum(item.id not in known for item in fresh)
            changed += sum(item.id in known for item in fresh)
            on_progress(len(batch))
        removed = await self._remove(known.keys() - wanted.keys()) if remove_others else 0
        if added or changed or removed or version is not None:
            await self._set_version(origin, version or _digest_of(await self._digests(origin)))
        return Change(added, changed, removed, len(wanted) - added - changed)

    async def foreign(self, origin: str, ids: Collection[str]) -> dict[str, str]:
        """Those of the ids that another origin has, and which."""
        columns = sa.select(incidents.c.id, incidents.c.origin).where(incidents.c.origin != origin)
        async with self._database.read() as connection:
            rows = (await connection.execute(columns)).all()
        return {row.id: row.origin for row in rows if row.id in ids}

    async def load(self) -> Stored:
        """Read everything; incidents of another embedder are left out until they are embedded again.

        Raises:
            DatabaseError: a row holds no incident or no vector of this embedder.
        """
        wanted = incidents.c.embedder == self._embedder.name
        columns = sa.select(incidents.c.document, incidents.c.vector).where(wanted).order_by(incidents.c.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(columns)).all()
        versions = await self.versions()
        version = _digest_of({origin: (version, self._embedder.name) for origin, version in versions.items()})
        joined = b"".join(row.vector for row in rows)
        try:
            vectors = np.frombuffer(joined, dtype="<f4").reshape(len(rows), self._embedder.dimension)
            return Stored([_decoder.decode(row.document) for row in rows], vectors, version)
        except (ValueError, msgspec.DecodeError) as error:
            raise DatabaseError("A stored incident is damaged. Restore the database, or start with a new one.") from error

    async def embed_again(self, origin: str, *, on_progress: Callable[[int], None] = lambda _: None) -> Change:
        """Make anew the vectors that another embedder made: until then :meth:`load` leaves their incidents out."""
        stale = (incidents.c.origin == origin) & (incidents.c.embedder != self._embedder.name)
        async with self._database.read() as connection:
            documents = (await connection.execute(sa.select(incidents.c.document).where(stale))).scalars().all()
        return await self.put(origin, [_decoder.decode(document) for document in documents], on_progress=on_progress)

    async def _digests(self, origin: str) -> dict[str, tuple[str, str]]:
        columns = sa.select(incidents.c.id, incidents.c.digest, incidents.c.embedder)
        async with self._database.read() as connection:
            rows = (await connection.execute(columns.where(incidents.c.origin == origin))).all()
        return {row.id: (row.digest, row.embedder) for row in rows}

    async def _remove(self, ids: Iterable[str]) -> int:
        doomed = [{"doomed": key} for key in sorted(ids)]
        if doomed:
            async with self._database.write() as connection:
                await connection.execute(sa.delete(incidents).where(incidents.c.id == sa.bindparam("doomed")), doomed)
        return len(doomed)

    async def _set_version(self, origin: str, version: str) -> None:
        values = {"origin": origin, "version": version, "loaded_at": self._now()}
        async with self._database.write() as connection:
            await connection.execute(upsert(connection, corpus_origins, ["origin"]), values)


def _digest_of(values: Mapping[str, tuple[str, str]]) -> str:
    canonical = msgspec.json.encode(sorted(values.items()))
    return hashlib.sha256(canonical).hexdigest()[:16]
