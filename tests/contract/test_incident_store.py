"""``SqlIncidentStore`` over SQLite and PostgreSQL."""

import numpy as np
import pytest
import sqlalchemy as sa

from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.adapters.sql.tables import incident_vectors, incidents
from sengol_api.review.errors import DatabaseError
from support.builders import make_incident
from support.toys import NOON, BagOfWords


@pytest.fixture
def embedder() -> BagOfWords:
    return BagOfWords()


@pytest.fixture
def store(database, embedder) -> SqlIncidentStore:
    return SqlIncidentStore(database, embedder, now=lambda: NOON)


def full(identity="inc-1"):
    """An incident with every kind of field told."""
    return make_incident(
        identity, title="Überfall – 漏洩", cost=1234.5, cost_kind="fine", records_affected=10**12, downtime_hours=0.5,
        had_mfa=False, date="2024-05", tags=("a", "b"), labels=("LLM01",), products=("portalkit",), derived=("industry",),
    )  # fmt: skip


async def test_an_incident_comes_back_as_it_was_kept_with_its_vector(store, embedder):
    assert await store.put("own", [full()]) == Change(added=1, changed=0, removed=0, unchanged=0)
    stored = await store.load()
    assert stored.incidents == [full()]
    np.testing.assert_array_equal(stored.vectors, await embedder.embed([full().searchable]))


async def test_an_empty_store_loads_as_no_incidents(store, embedder):
    stored = await store.load()
    assert stored.incidents == []
    assert stored.vectors.shape == (0, embedder.dimension)


async def test_incidents_are_loaded_by_id_whatever_the_order_they_came_in(store):
    names = ["b-1", "B-2", "a-1", "Z", "a.1", "inc-10", "inc-9"]
    await store.put("own", [make_incident(name) for name in names])
    stored = await store.load()
    again = await store.load()
    assert sorted(i.id for i in stored.incidents) == sorted(names)
    assert [i.id for i in stored.incidents] == [i.id for i in again.incidents]


async def test_putting_the_same_twice_changes_nothing_and_embeds_nothing(store, embedder):
    await store.put("own", [make_incident("a"), make_incident("b")], version="1")
    before = await store.load()
    embedder.calls.clear()
    assert await store.put("own", [make_incident("b"), make_incident("a")], version="1") == Change(0, 0, 0, 2)
    assert embedder.calls == []
    assert (await store.load()).version == before.version


async def test_a_changed_incident_is_embedded_again_and_changes_the_version(store, embedder):
    await store.put("own", [make_incident("a"), make_incident("b")])
    before = await store.load()
    embedder.calls.clear()
    assert await store.put("own", [make_incident("a", text="Quite another story."), make_incident("b")]) == Change(0, 1, 0, 1)
    after = await store.load()
    assert len(embedder.calls[0]) == 1
    assert after.incidents[0].text == "Quite another story."
    assert after.version != before.version


async def test_of_two_incidents_with_one_id_the_later_counts(store):
    change = await store.put("own", [make_incident("a", text="first"), make_incident("a", text="second")])
    assert change.added == 1
    assert [i.text for i in (await store.load()).incidents] == ["second"]


async def test_what_an_origin_no_longer_has_goes_only_when_that_is_asked_for(store):
    await store.put("own", [make_incident("a"), make_incident("b")])
    await store.put("other", [make_incident("c")])
    assert (await store.put("own", [make_incident("a")])).removed == 0
    assert (await store.put("own", [make_incident("a")], remove_others=True)).removed == 1
    assert [i.id for i in (await store.load()).incidents] == ["a", "c"]


async def test_versions_are_kept_by_origin(store):
    await store.put("own", [make_incident("a")], version="1")
    await store.put("other", [make_incident("b")], version="2")
    await store.put("own", [make_incident("a")], version="3")
    assert await store.versions() == {"own": "3", "other": "2"}


async def test_another_embedder_sees_none_of_the_old_vectors_until_they_are_made_anew(database, store):
    class Other(BagOfWords):
        name, dimension = "another", 32

    await store.put("own", [make_incident("a")])
    other = SqlIncidentStore(database, Other(), now=lambda: NOON)
    assert (await other.load()).incidents == []
    assert await other.put("own", [make_incident("a")]) == Change(0, 1, 0, 0)
    assert (await other.load()).vectors.shape == (1, 32)


async def test_ids_of_another_origin_are_told(store):
    await store.put("own", [make_incident("a"), make_incident("b")])
    await store.put("ingested", [make_incident("c")])
    assert await store.foreign("ingested", ["a", "c", "x"]) == {"a": "own"}


async def test_progress_adds_up_over_several_batches(store):
    steps = []
    many = [make_incident(f"inc-{n:04}") for n in range(1100)]
    assert (await store.put("own", many, on_progress=steps.append)).added == 1100
    assert sum(steps) == 1100
    assert len(steps) > 1
    stored = await store.load()
    assert [i.id for i in stored.incidents] == [i.id for i in many]
    assert stored.vectors.shape[0] == 1100


async def test_another_embedder_makes_the_vectors_of_an_origin_anew_from_what_is_stored(database, store):
    class Other(BagOfWords):
        name, dimension = "another", 32

    await store.put("ingested", [make_incident("a"), make_incident("b")])
    other = SqlIncidentStore(database, Other(), now=lambda: NOON)
    assert await other.embed_again("ingested") == Change(0, 2, 0, 0)
    assert [i.id for i in (await other.load()).incidents] == ["a", "b"]
    assert await other.embed_again("ingested") == Change(0, 0, 0, 0)


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        (incident_vectors, {"vector": b"abc"}),
        (incident_vectors, {"vector": b"abcd"}),
        (incidents, {"document": b"{"}),
        (incidents, {"document": b"{}"}),
    ],
)
async def test_a_damaged_row_is_an_error_that_says_so(database, store, table, damage):
    await store.put("own", [make_incident("a")])
    async with database.write() as connection:
        await connection.execute(sa.update(table).values(damage))
    with pytest.raises(DatabaseError, match="damaged"):
        await store.load()
