"""``PgVectorIndex`` on a real PostgreSQL: follows the store of record, finds by its index, and says what to do when it cannot."""

import asyncio
import uuid

import numpy as np
import pytest
import sqlalchemy as sa

from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.pgvector import PgVectorIndex, PgVectorOptions, statements, sync
from sengol_api.adapters.pgvector.selection import Selection
from sengol_api.adapters.pgvector.table import VectorTable
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.adapters.sql.schema import migrate
from sengol_api.resilience import Bulkhead, Pipeline, Timeout, deadline
from sengol_api.review.errors import CircuitBreakerError, DatabaseError, TimeoutError, VectorDBError  # noqa: A004
from support.builders import make_incident
from support.earlier import write_as_the_version_before
from support.given import Given, keep
from support.patience import eventually
from support.postgres import postgres_process
from support.toys import NOON, BagOfWords

pytestmark = pytest.mark.postgres


def unit(rows, seed=7, dimension=8):
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def names(count):
    return [f"inc-{n:05}" for n in range(count)]


@pytest.fixture
async def database(pgvector_url):
    opened = Database(pgvector_url)
    yield opened
    await opened.close()


@pytest.fixture
async def replica(pgvector_url):
    """The database as another process sees it."""
    opened = Database(pgvector_url)
    yield opened
    await opened.close()


class Words(BagOfWords):
    """A bag of words under a name of its own, so that each test has its own table."""

    def __init__(self) -> None:
        super().__init__()
        self.name = f"words-{uuid.uuid4().hex}"


@pytest.fixture
def embedder() -> Words:
    return Words()


@pytest.fixture
def store(database, embedder) -> SqlIncidentStore:
    return SqlIncidentStore(database, embedder, now=lambda: NOON)


async def put(store, *items):
    return await store.put("own", items, remove_others=True)


async def nearest(index, embedder, text):
    ((hit,),) = await index.search(await embedder.embed([text]), 1)
    return hit.id


async def test_it_follows_the_store_of_record(database, embedder, store):
    await put(store, make_incident("a", text="apples and pears"), make_incident("b", text="bread"), make_incident("c"))
    index = await PgVectorIndex.open(database, embedder)
    assert len(index) == 3
    assert await index.synchronise() == Change(0, 0, 0, 3)
    await put(store, make_incident("a", text="anchovies"), make_incident("b", text="bread"), make_incident("d", text="dates"))
    assert await index.synchronise() == Change(added=1, changed=1, removed=1, unchanged=1)
    assert len(index) == 3
    assert await nearest(index, embedder, make_incident("a", text="anchovies").searchable) == "a"
    assert await nearest(index, embedder, make_incident("d", text="dates").searchable) == "d"
    again = await PgVectorIndex.open(database, embedder)
    assert len(again) == 3


async def test_a_change_of_anything_but_the_text_is_no_loss(database, embedder, store):
    await put(store, make_incident("a", severity="low"))
    index = await PgVectorIndex.open(database, embedder)
    await put(store, make_incident("a", severity="high"))
    assert await index.synchronise() == Change(0, 1, 0, 0)
    assert await nearest(index, embedder, make_incident("a").searchable) == "a"


async def test_each_embedder_has_a_table_of_its_own(database, embedder, store):
    await put(store, make_incident("apple"), make_incident("bread"))
    other = Given(f"given-{uuid.uuid4().hex}", ["apple", "bread"], unit(2, dimension=16))
    await SqlIncidentStore(database, other, now=lambda: NOON).embed_again("own")
    mine, theirs = await PgVectorIndex.open(database, embedder), await PgVectorIndex.open(database, other)
    assert (await mine.search(await embedder.embed([make_incident("bread").searchable]), 1))[0][0].id == "bread"
    assert (await theirs.search(unit(2, dimension=16), 1))[1][0].id == "bread"
    with pytest.raises(ValueError, match="dimension 64"):
        await mine.search(unit(1, dimension=16), 1)


async def test_what_an_embedder_has_not_embedded_is_not_there_until_it_has(database, embedder, store):
    await put(store, make_incident("a"))
    other = Words()
    index = await PgVectorIndex.open(database, other)
    assert len(index) == 0
    await SqlIncidentStore(database, other, now=lambda: NOON).embed_again("own")
    assert await index.synchronise() == Change(1, 0, 0, 0)
    assert await nearest(index, other, "anything") == "a"


async def test_what_a_replica_of_the_version_before_wrote_is_there(database, embedder, store):
    await put(store, make_incident("a"))
    async with database.write() as connection:
        await write_as_the_version_before(connection, [make_incident("a", text="anchovies"), make_incident("b")], embedder)
    index = await PgVectorIndex.open(database, embedder)
    assert len(index) == 2
    assert await nearest(index, embedder, make_incident("a", text="anchovies").searchable) == "a"


async def test_progress_adds_up_over_several_batches(database, embedder, store, monkeypatch):
    monkeypatch.setattr(sync, "BATCH", 10)
    await put(store, *(make_incident(name) for name in names(35)))
    steps = []
    await PgVectorIndex.open(database, embedder, on_progress=steps.append)
    assert steps == [10, 10, 10, 5]


async def test_two_replicas_at_once_do_the_work_once(replica, database, embedder, store, monkeypatch):
    monkeypatch.setattr(sync, "BATCH", 10)
    await put(store, *(make_incident(name) for name in names(60)))
    steps = []
    opening = [PgVectorIndex.open(each, embedder, on_progress=steps.append) for each in (database, replica)]
    assert [len(each) for each in await asyncio.gather(*opening)] == [60, 60]
    assert sum(steps) == 60


async def test_work_that_was_broken_off_is_gone_on_with(database, embedder, store, monkeypatch):
    monkeypatch.setattr(sync, "BATCH", 10)
    await put(store, *(make_incident(name) for name in names(60)))
    first = asyncio.Event()
    opening = asyncio.create_task(PgVectorIndex.open(database, embedder, on_progress=lambda _: first.set()))
    await first.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    steps = []
    index = await PgVectorIndex.open(database, embedder, on_progress=steps.append)
    assert 0 < sum(steps) < 60
    assert len(index) == 60


async def test_a_damaged_vector_is_an_error_that_says_so(database, embedder, store):
    await put(store, make_incident("a"))
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE incident_vectors SET vector = 'abcd' WHERE embedder = :e"), {"e": embedder.name})
    with pytest.raises(DatabaseError, match="damaged"):
        await PgVectorIndex.open(database, embedder)


ROWS = 3000


@pytest.fixture(scope="module")
def cloud():
    """Vectors in clusters, as texts are."""
    centres = unit(60, seed=1, dimension=32)
    noise = np.random.default_rng(2).normal(scale=0.12, size=(ROWS, 32)).astype(np.float32)
    vectors = centres[np.arange(ROWS) % 60] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def like(vectors):
    """Queries that are near to these, as descriptions are to incidents."""
    moved = vectors + np.random.default_rng(3).normal(scale=0.08, size=vectors.shape)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("share", [None, 2, 20, 300])
async def test_by_its_index_it_finds_what_exact_search_finds(pgvector, cloud, share):
    ids = names(ROWS)
    allowed = None if share is None else frozenset(ids[::share])
    index, exact = await pgvector(ids, cloud, rows_per_candidate=0), ExactIndex(ids, cloud)
    queries = like(cloud[::40])
    found, wanted = await index.search(queries, 10, allowed), await exact.search(queries, 10, allowed)
    common = [len({hit.id for hit in mine} & {hit.id for hit in right}) for mine, right in zip(found, wanted, strict=True)]
    assert sum(common) >= 0.99 * sum(map(len, wanted))
    assert [len(hits) for hits in found] == [len(hits) for hits in wanted]
    for hits in found:
        assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id))
        assert allowed is None or {hit.id for hit in hits} <= allowed


async def test_a_batch_finds_what_single_searches_find(pgvector, cloud):
    index = await pgvector(names(ROWS), cloud)
    queries = unit(5, seed=3, dimension=32)
    alone = [(await index.search(queries[row : row + 1], 10))[0] for row in range(5)]
    assert await index.search(queries, 10) == alone


@pytest.mark.parametrize("filtered", [False, True])
async def test_the_index_is_what_a_search_uses(pgvector, cloud, database, filtered):
    index = await pgvector(names(ROWS), cloud)
    selection = Selection.of(index._numbers, frozenset(names(1500)) if filtered else None)
    question = statements.approximate(index._table, selection, filtered=filtered, more=20, candidates=100)
    given = {"queries": unit(2, dimension=32).ravel().tolist(), "count": 2, "dimension": 32}
    async with database.read() as connection:
        await connection.execute(*statements.apply(question.settings | {"plan_cache_mode": "force_custom_plan"}))
        explained = await connection.execute(sa.text(f"EXPLAIN {question.text}"), question.values | given)
        plan = "\n".join(explained.scalars())
    assert f"Index Scan using {index._table.index}" in plan


async def test_zero_vectors_are_found_last_and_a_zero_query_finds_by_id(pgvector, cloud):
    vectors = cloud.copy()
    vectors[7] = 0
    index = await pgvector(names(ROWS), vectors, rows_per_candidate=0)
    (hits,) = await index.search(np.zeros((1, 32), dtype=np.float32), 3)
    assert [(hit.id, hit.score) for hit in hits] == [("inc-00000", 0), ("inc-00001", 0), ("inc-00002", 0)]
    assert await index.compare(unit(1, dimension=32), [["inc-00007"]]) == [[0.0]]
    everything = (await index.search(unit(1, dimension=32), ROWS))[0]
    assert len(everything) == ROWS


@pytest.mark.parametrize("rows_per_candidate", [0, 80], ids=["by-index", "exact"])
async def test_what_another_replica_adds_or_removes_is_not_shown_before_this_one_knows_it(
    replica, pgvector, cloud, rows_per_candidate
):
    ids = names(ROWS)
    index = await pgvector(ids, cloud, rows_per_candidate=rows_per_candidate)
    async with replica.write() as connection:
        table = index._table.name
        await connection.execute(
            sa.text(
                f"INSERT INTO {table} (id, digest, vector) SELECT 'new-' || n, 'x', vector "
                f"FROM {table}, generate_series(1, 20) AS n WHERE id = 'inc-00000'"
            )
        )
        await connection.execute(sa.text(f"DELETE FROM {table} WHERE id = 'inc-00001'"))
    for allowed in (None, frozenset(ids[:2500]), frozenset(ids[:2])):
        (hits,) = await index.search(cloud[:1], 2, allowed)
        assert {hit.id for hit in hits} <= set(ids) - {"inc-00001"}
        assert hits[0].id == "inc-00000"


async def test_vectors_that_are_too_long_for_an_index_are_searched_exactly(pgvector):
    vectors = unit(30, dimension=2001)
    index = await pgvector(names(30), vectors, rows_per_candidate=0)
    assert [hits[0].id for hits in await index.search(vectors, 1)] == names(30)


async def test_ids_of_any_letters_are_found(pgvector, database):
    ids = ["a'b", "ключ", "a\\b", "{a,b}", '"', "A", "a"]
    index = await pgvector(ids, unit(7))
    assert [hits[0].id for hits in await index.search(unit(7), 1, frozenset(ids))] == ids
    same = await pgvector(ids, np.repeat(unit(1), 7, axis=0))
    assert [hit.id for hit in (await same.search(unit(1), 7))[0]] == sorted(ids)


# What it takes to start ---------------------------------------------------------------------------------------------------------


async def test_on_sqlite_it_says_what_to_set(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'a.sqlite3'}")
    with pytest.raises(VectorDBError, match="takes PostgreSQL: set DATABASE_URL"):
        await PgVectorIndex.open(database, BagOfWords())
    await database.close()


@pytest.fixture
async def bare(postgres):
    """A database without the extension, and a way to run statements in it."""
    name = f"bare_{uuid.uuid4().hex}"
    admin = Database(postgres.format("postgres"))
    async with admin._engine.connect() as connection:
        options = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await options.execute(sa.text(f"CREATE DATABASE {name}"))
    await admin.close()
    database = Database(postgres.format(name))
    await migrate(database)
    yield database
    await database.close()


async def run(database, *texts):
    async with database.write() as connection:
        for text in texts:
            await connection.execute(sa.text(text))
    await database._engine.dispose()  # what is set for a database holds for new connections


async def hide(database, table, columns):
    """Put a table of ours before one of the server's catalogue."""
    name = database._engine.url.database
    path = f"ALTER DATABASE {name} SET search_path = hidden, pg_catalog, public"
    await run(database, "CREATE SCHEMA IF NOT EXISTS hidden", f"CREATE TABLE hidden.{table} AS SELECT {columns}", path)


async def test_where_the_extension_can_be_made_it_is(bare):
    assert len(await PgVectorIndex.open(bare, BagOfWords())) == 0


async def test_without_pgvector_it_says_what_to_install(bare):
    await hide(bare, "pg_available_extensions", "'other'::text AS name, '1.0'::text AS default_version")
    with pytest.raises(VectorDBError, match=r"has no pgvector\. Install it .*postgresql-NN-pgvector"):
        await PgVectorIndex.open(bare, BagOfWords())


@pytest.mark.parametrize(
    ("installed", "offered", "says"), [("0.7.4", "0.8.5", "Run ALTER EXTENSION vector UPDATE"), ("0.5.0", "0.5.0", "Install it")]
)
async def test_with_an_old_pgvector_it_says_how_to_update(bare, installed, offered, says):
    await hide(bare, "pg_extension", f"'vector'::text AS extname, '{installed}'::text AS extversion")
    await hide(bare, "pg_available_extensions", f"'vector'::text AS name, '{offered}'::text AS default_version")
    with pytest.raises(VectorDBError, match=rf"takes pgvector 0\.8 or newer, this PostgreSQL has {installed}\. {says}"):
        await PgVectorIndex.open(bare, BagOfWords())


async def test_without_the_right_to_make_the_extension_it_says_who_must(bare):
    role = f"limited_{uuid.uuid4().hex[:8]}"
    await run(bare, f"CREATE ROLE {role} LOGIN")
    limited = Database(bare._engine.url.set(drivername="postgresql", username=role).render_as_string())
    with pytest.raises(VectorDBError, match="CREATE EXTENSION vector"):
        await PgVectorIndex.open(limited, BagOfWords())
    await limited.close()


# Faults -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def own_server():
    """A PostgreSQL of its own, that the test may stop and freeze, with a database that holds thirty incidents."""
    with postgres_process() as server:
        database = Database(server.url.format("postgres"))
        await migrate(database)
        embedder = Given("given", names(30), unit(30))
        await keep(database, embedder, names(30))
        yield server, database, embedder
        await database.close()


async def answers(index):
    try:
        return len((await index.search(unit(1), 5))[0]) == 5
    except VectorDBError:
        return False


async def test_a_stopped_server_is_an_error_that_says_so_and_heals_by_itself(own_server):
    server, database, embedder = own_server
    index = await PgVectorIndex.open(database, embedder, pipeline=Pipeline("pgvector"))
    assert await answers(index)
    server.stop()
    with pytest.raises(VectorDBError, match=r"cannot be searched\. See that it runs"):
        await index.search(unit(1), 5)
    with pytest.raises(VectorDBError):
        await index.compare(unit(1), [names(3)])
    with pytest.raises(DatabaseError):
        await index.synchronise()
    server.start()
    await eventually(lambda: answers(index))


async def test_a_frozen_server_holds_a_search_no_longer_than_the_caller_waits(own_server):
    server, database, embedder = own_server
    index = await PgVectorIndex.open(database, embedder, pipeline=Pipeline("pgvector"))
    assert await answers(index)
    server.freeze()
    async with asyncio.timeout(30):
        for _ in range(3):
            with pytest.raises(TimeoutError), deadline(0.2):
                await index.search(unit(1), 5)
            assert index._left_behind, "the connection is still being given up: nobody waits for that"
    server.thaw()
    await eventually(lambda: answers(index))


async def test_a_server_that_fails_again_and_again_is_left_alone_by_the_circuit_breaker(own_server):
    server, database, embedder = own_server
    index = await PgVectorIndex.open(database, embedder)
    server.stop()
    for _ in range(5):
        with pytest.raises(VectorDBError):
            await index.search(unit(1), 5)
    with pytest.raises(CircuitBreakerError) as caught:
        await index.search(unit(1), 5)
    assert caught.value.retry_after > 0


async def test_the_server_stops_a_search_that_nobody_waits_for_any_more(replica, pgvector, database):
    index = await pgvector(names(30), unit(30))

    async def waiting():
        async with database.read() as connection:
            text = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{index._table.name}%'"
            return await connection.scalar(sa.text(text))

    async with replica.write() as connection:
        await connection.execute(sa.text(f"LOCK TABLE {index._table.name}"))
        searching = asyncio.create_task(index.search(unit(1), 5))

        async def it_waits():
            return await waiting() == 1

        await eventually(it_waits)
        searching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await searching
        with pytest.raises((TimeoutError, VectorDBError)), deadline(0.2):
            await index.search(unit(1), 5)

        async def nobody_waits():
            return await waiting() == 0

        await eventually(nobody_waits)
    assert len((await index.search(unit(1), 5))[0]) == 5


async def test_a_search_that_is_refused_or_late_says_why(replica, database, embedder, store):
    await put(store, make_incident("a"))
    queries = await embedder.embed(["anything"])
    narrow = await PgVectorIndex.open(database, embedder, pipeline=Pipeline("narrow", Bulkhead(max_concurrent=1, max_queue=0)))
    hasty = await PgVectorIndex.open(database, embedder, pipeline=Pipeline("hasty", Timeout(0.05)))
    with pytest.raises(TimeoutError, match="before PostgreSQL could be asked"), deadline(0.0):
        await narrow.search(queries, 5)
    async with replica.write() as connection:
        await connection.execute(sa.text(f"LOCK TABLE {narrow._table.name}"))
        first = asyncio.ensure_future(narrow.search(queries, 5))
        await asyncio.sleep(0)
        with pytest.raises(VectorDBError, match="Too many searches"):
            await narrow.search(queries, 5)
        with pytest.raises(VectorDBError, match=r"did not answer a search within 0\.05 s"):
            await hasty.search(queries, 5)
    assert len((await first)[0]) == 1


async def test_a_search_that_takes_too_long_is_stopped_by_the_server_and_says_so(replica, database, embedder, store):
    await put(store, make_incident("a"))
    index = await PgVectorIndex.open(database, embedder, options=PgVectorOptions(timeout=0.05), pipeline=Pipeline("pgvector"))
    async with replica.write() as connection:
        await connection.execute(sa.text(f"LOCK TABLE {index._table.name}"))
        with pytest.raises(VectorDBError, match="stopped a search that took too long"):
            await index.search(await embedder.embed(["a"]), 5)


async def test_a_table_that_was_dropped_is_an_error_that_says_what_to_do(database, embedder, store):
    await put(store, make_incident("a"))
    index = await PgVectorIndex.open(database, embedder)
    await run(database, f"DROP TABLE {VectorTable.of(embedder).name}")
    with pytest.raises(VectorDBError, match=r"has lost the table of the vectors\. Restart"):
        await index.search(await embedder.embed(["a"]), 5)
    assert len(await PgVectorIndex.open(database, embedder)) == 1
