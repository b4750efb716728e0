"""What replicas of the version before do to a database that they share with this one."""

import hashlib
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from sengol_api.review.incident import Incident
from sengol_api.review.ports import Embedder

_UPSERT = sa.text(
    "INSERT INTO incidents (id, origin, digest, document, embedder, vector)"
    " VALUES (:id, 'own', :digest, :document, :embedder, :vector)"
    " ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, document = excluded.document, embedder = excluded.embedder,"
    " vector = excluded.vector"
)


async def write_as_the_version_before(connection: AsyncConnection, items: Sequence[Incident], embedder: Embedder) -> None:
    """Keep incidents with their vectors in one table, as it was before vectors had a table of their own."""
    vectors = await embedder.embed([item.searchable for item in items])
    for item, vector in zip(items, vectors, strict=True):
        document = msgspec.json.encode(item)
        row = {"id": item.id, "digest": hashlib.sha256(document).hexdigest(), "document": document}
        await connection.execute(_UPSERT, {**row, "embedder": embedder.name, "vector": vector.astype("<f4").tobytes()})


async def read_as_the_version_before(connection: AsyncConnection, embedder: Embedder) -> list[str]:
    """The ids of the incidents that such a replica has."""
    own = sa.text("SELECT id FROM incidents WHERE embedder = :embedder ORDER BY id")
    return list((await connection.execute(own, {"embedder": embedder.name})).scalars())
