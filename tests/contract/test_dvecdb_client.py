"""``DvecdbClient`` over the fake and over the real server: the same searches, writes and losses, over real sockets."""

import asyncio
import itertools
import threading
import uuid

import pytest

from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.corpus.genai import read_genai
from sengol_api.adapters.dvecdb import DvecdbClient, DvecdbIndex, IndexNotReady, InMemoryRecords
from sengol_api.adapters.dvecdb.lines import CACHE
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.ladder import LadderIndex
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.resilience import CircuitBreaker
from support.dvecdb.clients import Words, exact, ids_of, options_for, records_of, unit, until
from support.dvecdb.fake import fake_dvecdb
from support.dvecdb.real import dvecdb_server
from support.patience import eventually

pytest_plugins = ["support.fixtures"]

ROWS = 150
IDS, VECTORS = ids_of(ROWS), unit(ROWS)
QUERIES = unit(12, seed=99)
PATIENCE = 60.0


def client_of(server, *, records=None, options=None, **more):
    """A client of an index that no other test has."""
    told = {"collection": f"c{uuid.uuid4().hex[:20]}", "timeout": 20.0, "check_interval": 2.0, **(options or {})}
    given = {"cache": None, "embed": Words(), **more}
    return DvecdbClient(options_for(server, **told), records=records_of(ROWS) if records is None else records, **given)


@pytest.fixture
def mortal(tmp_path):
    """A real server that the test may kill and freeze."""
    with dvecdb_server(tmp_path) as server:
        yield server


async def found(client, query, limit=5, condition=None):
    return [result.id for result in await client.search_by_vector(query, limit, condition)]


async def assert_right(client, queries=QUERIES):
    for query in queries:
        assert await found(client, query) == exact(VECTORS, query, IDS, 5)


async def test_searches_find_what_is_nearest(dvecdb):
    async with client_of(dvecdb) as client:
        assert await client.ready(PATIENCE)
        await assert_right(client)
        assert await found(client, QUERIES[0], 9, {"group": [1, 2]}) == exact(
            VECTORS, QUERIES[0], IDS, 9, lambda key: int(key[4:]) % 7 in {1, 2}
        )
        texts = ["first", "second", "third"]
        answers = await client.batch_search_by_text(texts, None, 4)
        assert [[r.id for r in answer] for answer in answers] == [exact(VECTORS, Words.vector(text), IDS, 4) for text in texts]
        assert await client.health_check()
        assert client.get_health_status()["status"] == "ok"


async def test_writes_are_found_without_a_rebuild(dvecdb):
    async with client_of(dvecdb) as client:
        assert await client.ready(PATIENCE)
        assert (await client.upsert([("new", QUERIES[0]), (IDS[0], QUERIES[1])])).indexed
        assert (await found(client, QUERIES[0]))[0] == "new"
        assert (await found(client, QUERIES[1]))[0] == IDS[0]
        assert (await client.delete(["new"])).indexed
        assert "new" not in await found(client, QUERIES[0])
        assert client.get_health_status()["rebuild"]["completed"] == 1


async def test_a_second_client_takes_the_index_that_is_there(dvecdb):
    one = client_of(dvecdb)
    async with one:
        assert await one.ready(PATIENCE)
    again = client_of(dvecdb, options={"collection": one.options.collection})
    async with again:
        assert await again.ready(PATIENCE)
        assert again.get_health_status()["rebuild"]["completed"] == 0
        await assert_right(again)


async def test_two_clients_that_start_at_once_do_no_harm_to_each_other(dvecdb):
    one = client_of(dvecdb)
    other = client_of(dvecdb, options={"collection": one.options.collection})
    async with one, other:
        assert await one.ready(PATIENCE)
        assert await other.ready(PATIENCE)
        await assert_right(one)
        await assert_right(other)


async def test_after_kill_and_restart_search_is_right_again_and_index_and_fallback_never_failed(own_dvecdb):
    embedded = ExactIndex(IDS, VECTORS)
    options = {"breaker": CircuitBreaker(reset_timeout=0.5), "max_retries": 1}
    async with client_of(own_dvecdb, options=options) as client:
        index = LadderIndex(DvecdbIndex(client, embedded), embedded)
        assert await client.ready(PATIENCE)
        stop = asyncio.Event()
        searched = 0

        async def search_on():
            nonlocal searched
            for query in itertools.cycle(QUERIES):
                if stop.is_set():
                    return
                (hits,) = await index.search(query[None, :], 5)
                assert [hit.id for hit in hits] == exact(VECTORS, query, IDS, 5)
                searched += 1
                await asyncio.sleep(0.01)

        searches = asyncio.create_task(search_on())
        await asyncio.sleep(0.2)
        await asyncio.to_thread(own_dvecdb.restart)
        async with asyncio.timeout(PATIENCE):
            while client.get_health_status()["rebuild"]["completed"] < 2:
                await asyncio.sleep(0.05)
                assert not searches.done()
        stop.set()
        await searches
        assert searched > 0
        await assert_right(client)


@pytest.mark.dvecdb
async def test_a_server_that_is_killed_and_comes_back_later_is_found_again(mortal):
    async with client_of(mortal, options={"breaker": CircuitBreaker(reset_timeout=0.5)}) as client:
        assert await client.ready(PATIENCE)
        mortal.kill()
        for query in QUERIES[:6]:
            with pytest.raises(Exception, match=r"d-vecDB") as caught:
                await client.search_by_vector(query, max_retries=0)
            assert type(caught.value).__module__.startswith("sengol_api.")
        assert not await client.health_check()
        await asyncio.to_thread(mortal.start)
        await until(lambda: client.get_health_status()["rebuild"]["completed"] == 2, seconds=PATIENCE)
        await assert_right(client)


@pytest.mark.dvecdb
async def test_a_frozen_server_holds_no_search_longer_than_its_time_and_serves_when_thawed(mortal):
    options = {"breaker": CircuitBreaker(reset_timeout=0.5), "timeout": 5.0, "check_interval": 0.5}
    async with client_of(mortal, options=options) as client:
        assert await client.ready(PATIENCE)
        mortal.freeze()
        try:
            for query in QUERIES[:6]:
                with pytest.raises(Exception, match=r"d-vecDB"):
                    await client.search_by_vector(query, timeout=0.1, max_retries=0)
            assert not await client.health_check()
        finally:
            mortal.thaw()
        await until(lambda: client.get_health_status()["circuitBreaker"]["state"] == "CLOSED", seconds=PATIENCE)
        await assert_right(client)
        assert client.get_health_status()["rebuild"]["completed"] == 1


def test_one_client_serves_one_event_loop_after_the_other(dvecdb):
    client = client_of(dvecdb)

    async def use(*, close):
        assert await client.ready(PATIENCE)
        await assert_right(client)
        if close:
            await client.close()

    asyncio.run(use(close=True))
    asyncio.run(use(close=True))
    assert client.get_health_status()["rebuild"]["completed"] == 1


def test_a_loop_that_stands_still_does_not_keep_another_from_building_the_index_again():
    with fake_dvecdb() as fake:
        client = client_of(fake)
        still, moving = asyncio.new_event_loop(), asyncio.new_event_loop()
        try:
            assert still.run_until_complete(client.ready(PATIENCE))
            fake.restart()
            moving.run_until_complete(recover(client))
            moving.run_until_complete(client.close())
            still.run_until_complete(client._http.close())
            still.run_until_complete(eventually(alone))  # the task of before finds itself replaced
        finally:
            still.close()
            moving.close()


async def alone():
    return asyncio.all_tasks() == {asyncio.current_task()}


async def recover(client):
    assert await client.ready(PATIENCE)
    await assert_right(client)


def test_one_client_serves_two_event_loops_at_once(dvecdb):
    client = client_of(dvecdb)
    errors = []
    both = threading.Barrier(2)

    async def use():
        assert await client.ready(PATIENCE)
        both.wait(PATIENCE)
        for _ in range(3):
            await assert_right(client)
        await asyncio.to_thread(both.wait, PATIENCE)
        await client.close()

    def run():
        try:
            asyncio.run(use())
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * PATIENCE)
    assert errors == []


async def test_fifty_identical_searches_are_one_request():
    with fake_dvecdb() as fake:
        async with client_of(fake, cache=CACHE) as client:
            assert await client.ready(PATIENCE)
            results = await asyncio.gather(*(client.search_by_vector(QUERIES[0]) for _ in range(50)))
        assert all(each == results[0] for each in results)
        assert fake.requests["POST search"] == 1


async def test_overlooked_vectors_and_short_answers_cost_little_and_nothing_wrong_is_shown():
    with fake_dvecdb(short_answers=0.3) as fake:
        async with client_of(fake) as client:
            assert await client.ready(PATIENCE)
            await assert_right(client, unit(60, seed=5))
            assert 5 < client.get_health_status()["statistics"]["exact"]["short"] < 35


@pytest.mark.dvecdb
async def test_nine_hundred_and_ninety_of_a_thousand_neighbours_in_the_real_corpus_are_found(real_dvecdb):
    incidents = list(itertools.islice(read_genai(load_vocabulary()), 0, 15_000, 8))
    embedder = WordLlamaEmbedder()
    vectors = await embedder.embed([incident.searchable for incident in incidents])
    ids = [incident.id for incident in incidents]
    records = InMemoryRecords(ids, vectors, embedder=embedder.name)
    queries = await embedder.embed([area.query for area in load_catalogue().areas])
    index = ExactIndex(ids, vectors)
    options = {"dimension": embedder.dimension, "insert_time": 5.0}
    async with client_of(real_dvecdb, records=records, options=options, embed=embedder) as client:
        assert await client.ready(300)
        got = await client.search_many(queries, 10)
        wanted = await index.search(queries, 10)
        hits = sum(len({hit.id for hit in mine} & {hit.id for hit in right}) for mine, right in zip(got, wanted, strict=True))
        assert hits >= 0.99 * 10 * len(queries)
        exact_answers = client.get_health_status()["statistics"]["exact"].get("short", 0)
        assert exact_answers <= 0.02 * len(queries)


async def test_an_index_that_cannot_be_reached_says_so_at_once(dvecdb):
    async with client_of(None, options={"host": "127.0.0.1", "port": 1, "max_retries": 0}) as client:
        with pytest.raises(IndexNotReady, match="cannot be reached"):
            await client.search_by_vector(QUERIES[0])
        assert not await client.health_check()


async def test_a_name_that_nobody_knows_is_a_server_that_cannot_be_reached():
    async with client_of(None, options={"host": "no-such-host.invalid", "max_retries": 0}) as client:
        with pytest.raises(IndexNotReady):
            await client.search_by_vector(QUERIES[0])
        assert not await client.health_check()
