"""Vectors of several embedders beside each other, over SQLite and PostgreSQL."""

import numpy as np
import pytest
import sqlalchemy as sa

from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.adapters.sql.tables import incident_vectors, incidents
from sengol_api.adapters.sql.vectors import Coverage, SqlVectors
from sengol_api.review.errors import DatabaseError
from support.builders import make_incident
from support.earlier import read_as_the_version_before, write_as_the_version_before
from support.toys import NOON, BagOfWords


class Other(BagOfWords):
    name, dimension = "another", 32


@pytest.fixture
def store(database) -> SqlIncidentStore:
    return SqlIncidentStore(database, BagOfWords(), now=lambda: NOON)


@pytest.fixture
def vectors(database) -> SqlVectors:
    return SqlVectors(database)


async def embed_all(vectors, embedder, limit=1000):
    texts = await vectors.missing_texts(embedder.name, limit=limit)
    return await vectors.put(embedder.name, texts, await embedder.embed([text.text for text in texts]))


async def test_each_embedder_has_its_own_vectors_sorted_by_id(store, vectors):
    items = [make_incident(name) for name in ("b-1", "Z", "a.1", "a-1")]
    await store.put("own", items)
    assert await store.missing("another") == 4
    assert await embed_all(vectors, Other()) == 4
    assert await store.missing("another") == 0
    texts = {item.id: item.searchable for item in items}
    for embedder in (BagOfWords(), Other()):
        ids, found = await store.vectors_of(embedder)
        assert ids == ["Z", "a-1", "a.1", "b-1"]
        np.testing.assert_array_equal(found, await embedder.embed([texts[key] for key in ids]))
    assert [incident.id for incident in (await store.load()).incidents] == ["Z", "a-1", "a.1", "b-1"]


async def test_an_embedder_that_has_done_nothing_has_no_vectors(store):
    await store.put("own", [make_incident("a")])
    ids, found = await store.vectors_of(Other())
    assert ids == []
    assert found.shape == (0, 32)


async def test_a_changed_text_makes_the_vectors_of_every_embedder_stale(store, vectors):
    await store.put("own", [make_incident("a"), make_incident("b")])
    await embed_all(vectors, Other())
    await store.put("own", [make_incident("a", text="Quite another story."), make_incident("b")])
    assert await store.missing("another") == 1
    assert (await store.vectors_of(Other()))[0] == ["b"]
    assert [text.incident_id for text in await vectors.missing_texts("another", limit=10)] == ["a"]
    assert await embed_all(vectors, Other()) == 1
    ids, found = await store.vectors_of(Other())
    assert ids == ["a", "b"]
    np.testing.assert_array_equal(found[:1], await Other().embed([make_incident("a", text="Quite another story.").searchable]))


async def test_a_change_of_anything_but_the_text_keeps_the_vectors_of_every_embedder(store, vectors):
    await store.put("own", [make_incident("a", severity="low")])
    await embed_all(vectors, Other())
    assert await store.put("own", [make_incident("a", severity="high")]) == Change(0, 1, 0, 0)
    assert await store.missing("another") == 0
    assert (await store.load()).incidents[0].severity == "high"


async def test_a_removed_incident_takes_its_vectors_along(store, vectors, database):
    await store.put("own", [make_incident("a"), make_incident("b")])
    await embed_all(vectors, Other())
    await store.put("own", [make_incident("b")], remove_others=True)
    async with database.read() as connection:
        left = (await connection.execute(sa.select(incident_vectors.c.incident_id).distinct())).scalars().all()
    assert left == ["b"]
    assert await vectors.coverage("another") == Coverage(1, 1)


async def test_vectors_of_a_text_that_changed_or_went_meanwhile_are_not_kept(store, vectors):
    await store.put("own", [make_incident("a"), make_incident("b"), make_incident("c")])
    texts = await vectors.missing_texts("another", limit=10)
    await store.put("own", [make_incident("a", text="Quite another story."), make_incident("b")], remove_others=True)
    assert await vectors.put("another", texts, await Other().embed([text.text for text in texts])) == 1
    assert (await store.vectors_of(Other()))[0] == ["b"]


async def test_missing_texts_come_in_portions_without_gap_or_repetition(store, vectors):
    await store.put("own", [make_incident(f"inc-{n}") for n in range(10)])
    seen, after = [], ""
    while texts := await vectors.missing_texts("another", after=after, limit=3):
        seen += [text.incident_id for text in texts]
        after = texts[-1].digest
    assert sorted(seen) == sorted(f"inc-{n}" for n in range(10))


async def test_an_embedder_that_comes_back_finds_its_vectors_still_there(database, store):
    await store.put("own", [make_incident("a")])
    other = SqlIncidentStore(database, Other(), now=lambda: NOON)
    await other.embed_again("own")
    again = BagOfWords()
    assert await SqlIncidentStore(database, again, now=lambda: NOON).put("own", [make_incident("a")]) == Change(0, 0, 0, 1)
    assert again.calls == []


async def test_a_vector_of_another_length_is_an_error_that_says_so(store, vectors):
    await store.put("own", [make_incident("a"), make_incident("b")])
    texts = await vectors.missing_texts("another", limit=10)
    await vectors.put("another", texts, np.zeros((2, 16), dtype=np.float32))
    with pytest.raises(DatabaseError, match="damaged"):
        await store.vectors_of(Other())


async def test_a_damaged_incident_is_an_error_that_says_so_and_can_be_replaced(store, vectors, database):
    await store.put("own", [make_incident("a"), make_incident("b")])
    async with database.write() as connection:
        await connection.execute(sa.update(incidents).where(incidents.c.id == "a").values(document=b"{"))
    with pytest.raises(DatabaseError, match="damaged"):
        await vectors.missing_texts("another", limit=10)
    assert await store.put("own", [make_incident("a", severity="high"), make_incident("b")]) == Change(0, 1, 0, 1)
    assert len(await vectors.missing_texts("another", limit=10)) == 2


async def test_what_a_replica_of_the_version_before_writes_is_read(database, store, vectors):
    await store.put("own", [make_incident("a"), make_incident("b")])
    await embed_all(vectors, Other())
    newer = [make_incident("a", text="Quite another story."), make_incident("c")]
    async with database.write() as connection:
        await write_as_the_version_before(connection, newer, BagOfWords())
    stored = await store.load()
    assert [incident.id for incident in stored.incidents] == ["a", "b", "c"]
    np.testing.assert_array_equal(stored.vectors[[0, 2]], await BagOfWords().embed([item.searchable for item in newer]))
    assert (await store.vectors_of(Other()))[0] == ["b"]
    assert await store.put("own", [*newer, make_incident("b")]) == Change(0, 0, 0, 3)


async def test_a_replica_of_the_version_before_reads_what_is_written(database, store):
    await store.put("own", [make_incident("a"), make_incident("b")])
    await store.put("own", [make_incident("a", text="Quite another story."), make_incident("b")])
    await SqlIncidentStore(database, Other(), now=lambda: NOON).embed_again("own")
    async with database.read() as connection:
        assert await read_as_the_version_before(connection, BagOfWords()) == ["a", "b"]
