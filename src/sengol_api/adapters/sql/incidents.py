"""Incidents and their vectors in SQL: the store of record, from which every index can be built again."""

import datetime as dt
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Final

import msgspec
import sqlalchemy as sa

from sengol_api.adapters.sql.engine import Database, upsert
from sengol_api.adapters.sql.tables import corpus_origins, incidents
from sengol_api.adapters.sql.vectors import (
    DAMAGED,
    SqlVectors,
    keep_where_text_is_unchanged,
    packed,
    put_vectors,
    unpacked,
    with_vectors,
)
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
        embedder: makes the vectors. Those of another embedder stay beside them as long as the text of their incident does.
        now: the present moment, in UTC.
    """

    def __init__(self, database: Database, embedder: Embedder, *, now: Callable[[], dt.datetime]) -> None:
        self._database = database
        self._embedder = embedder
        self._now = now
        self._vectors = SqlVectors(database)

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
            fresh = await self._keep(origin, batch, known)
            added += sum(item.id not in known for item in fresh)
            changed += sum(item.id in known for item in fresh)
            on_progress(len(batch))
        removed = await self._remove(known.keys() - wanted.keys()) if remove_others else 0
        if added or changed or removed or version is not None:
            await self._set_version(origin, version or await self._state_of(origin))
        return Change(added, changed, removed, len(wanted) - added - changed)

    async def _keep(self, origin: str, batch: Sequence[Incident], known: Mapping[str, tuple[str, bool]]) -> list[Incident]:
        """Write what is new in a batch, with its vectors, in one transaction; gives what that was."""
        documents = {item.id: msgspec.json.encode(item) for item in batch}
        digests = {key: hashlib.sha256(document).hexdigest() for key, document in documents.items()}
        fresh = [item for item in batch if known.get(item.id) != (digests[item.id], True)]
        if not fresh:
            return []
        vectors = await self._embedder.embed([item.searchable for item in fresh])
        made = {item.id: (digests[item.id], vector) for item, vector in zip(fresh, vectors, strict=True)}
        # Where only the vector is missing the row stays as it is: replicas with the embedder before read its old columns.
        changed = {item.id: item for item in fresh if known.get(item.id, ("",))[0] != digests[item.id]}
        rows = [
            {
                "id": key,
                "origin": origin,
                "digest": digests[key],
                "document": documents[key],
                "embedder": self._embedder.name,
                "vector": packed(made[key][1]),
            }
            for key in changed
        ]
        async with self._database.write() as connection:
            if rows:
                await keep_where_text_is_unchanged(connection, changed, digests)
                await connection.execute(upsert(connection, incidents, ["id"]), rows)
            await put_vectors(connection, self._embedder.name, made)
        return fresh

    async def foreign(self, origin: str, ids: Collection[str]) -> dict[str, str]:
        """Those of the ids that another origin has, and which."""
        columns = sa.select(incidents.c.id, incidents.c.origin).where(incidents.c.origin != origin)
        async with self._database.read() as connection:
            rows = (await connection.execute(columns)).all()
        return {row.id: row.origin for row in rows if row.id in ids}

    async def load(self) -> Stored:
        """Read everything; incidents that the embedder has not embedded are left out until it has.

        Raises:
            DatabaseError: a row holds no incident or no vector of this embedder.
        """
        joined, vector = with_vectors(self._embedder.name)
        columns = sa.select(incidents.c.id, incidents.c.document, vector.label("vector")).select_from(joined)
        async with self._database.read() as connection:
            rows = (await connection.execute(columns.where(vector.is_not(None)))).all()
        ordered = sorted(rows, key=itemgetter(0))
        versions = await self.versions()
        version = _digest_of({origin: (version, self._embedder.name) for origin, version in versions.items()})
        vectors = unpacked([vector for _, _, vector in ordered], self._embedder.dimension)
        try:
            return Stored([_decoder.decode(document) for _, document, _ in ordered], vectors, version)
        except msgspec.DecodeError as error:
            raise DatabaseError(DAMAGED) from error

    async def missing(self, embedder_name: str) -> int:
        """How many incidents have no vector of that embedder, or one of a text that they no longer have."""
        done, total = await self._vectors.coverage(embedder_name)
        return total - done

    async def vectors_of(self, embedder: Embedder) -> tuple[list[str], Vectors]:
        """Ids and vectors of what that embedder has embedded, sorted by id, shape (ids, dimension).

        Raises:
            DatabaseError: a vector is of another dimension.
        """
        return await self._vectors.all(embedder)

    async def embed_again(self, origin: str, *, on_progress: Callable[[int], None] = lambda _: None) -> Change:
        """Embed what the embedder has not embedded yet: until then :meth:`load` leaves these incidents out."""
        joined, vector = with_vectors(self._embedder.name)
        stale = sa.select(incidents.c.document).select_from(joined).where(incidents.c.origin == origin, vector.is_(None))
        async with self._database.read() as connection:
            documents = (await connection.execute(stale)).scalars().all()
        return await self.put(origin, [_decoder.decode(document) for document in documents], on_progress=on_progress)

    async def _digests(self, origin: str) -> dict[str, tuple[str, bool]]:
        """Digest by id, and whether the embedder has embedded that state of the incident."""
        joined, vector = with_vectors(self._embedder.name)
        columns = sa.select(incidents.c.id, incidents.c.digest, vector.is_not(None).label("embedded")).select_from(joined)
        async with self._database.read() as connection:
            rows = (await connection.execute(columns.where(incidents.c.origin == origin))).all()
        return {row.id: (row.digest, bool(row.embedded)) for row in rows}

    async def _state_of(self, origin: str) -> str:
        known = await self._digests(origin)
        return _digest_of({key: (digest, self._embedder.name) for key, (digest, _) in known.items()})

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
