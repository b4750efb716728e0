"""Writes: into the store of record first, then into the index, and nothing is lost between the two."""

import asyncio

import pytest

from sengol_api.adapters.dvecdb import IndexNotReady, InvalidVector, Item, Written
from sengol_api.resilience import CircuitBreaker, deadline
from support.dvecdb.clients import DIMENSION, EMBEDDER, exact, ids_of, records_of, unit, until, virtually
from support.dvecdb.in_memory import hanging, only, refusing

QUERY = unit(1, seed=99)[0]
IDS, VECTORS = ids_of(40), unit(40)


async def first(client):
    return (await client.search_by_vector(QUERY, 1))[0].id


def rebuilds(client):
    return client.get_health_status()["rebuild"]["completed"]


def test_what_was_written_is_found_and_what_was_deleted_is_not_without_a_rebuild():
    async def work(s):
        before = await first(s.client)
        assert await s.client.upsert([("new", 5 * QUERY, {"group": 9}), Item("far", -QUERY)]) == Written(2, indexed=True)
        assert await first(s.client) == "new"
        assert [r.id for r in await s.client.search_by_vector(QUERY, 5, {"group": 9})] == ["new"]
        assert await s.client.upsert([("new", -QUERY)]) == Written(1, indexed=True)
        assert await first(s.client) == before
        assert await s.client.delete([before, before, "unknown"]) == Written(2, indexed=True)
        assert await first(s.client) == exact(VECTORS, QUERY, IDS, 2)[1]
        assert await s.records.count() == 41
        assert rebuilds(s.client) == 1

    virtually(work)


def test_nothing_to_write_sends_nothing():
    async def work(s):
        assert await s.client.upsert([]) == Written(0, indexed=True)
        assert await s.client.delete([]) == Written(0, indexed=True)
        assert s.server.sent == []

    virtually(work)


def test_one_bad_vector_among_several_keeps_all_of_them_out():
    async def work(s):
        version = await s.records.version()
        with pytest.raises(InvalidVector):
            await s.client.upsert([("good", QUERY), ("bad", [float("nan")] * DIMENSION)])
        assert await s.records.version() == version
        assert s.server.sent == []

    virtually(work)


def test_several_writes_at_once_all_arrive():
    async def work(s):
        writes = [s.client.upsert([(f"new-{n}", unit(1, seed=100 + n)[0])]) for n in range(20)]
        assert all(written.indexed for written in await asyncio.gather(*writes))
        assert s.server.most == 1
        for n in range(20):
            assert (await s.client.search_by_vector(unit(1, seed=100 + n)[0], 1))[0].id == f"new-{n}"
        assert rebuilds(s.client) == 1

    virtually(work)


def test_a_write_that_the_server_does_not_take_is_safe_and_comes_when_it_is_back():
    async def work(s):
        s.server.fault = only("/batch", refusing)
        assert await s.client.upsert([("new", QUERY)]) == Written(1, indexed=False)
        with pytest.raises(IndexNotReady):
            await first(s.client)
        s.server.fault = None
        assert await s.client.ready(300)
        assert await first(s.client) == "new"
        assert rebuilds(s.client) == 1

    virtually(work, options={"breaker": CircuitBreaker(reset_timeout=5)})


def test_a_write_into_a_server_that_forgot_everything_comes_with_the_rebuild():
    async def work(s):
        s.server.server.restart()
        written = await s.client.upsert([("new", QUERY)])
        assert written.count == 1
        assert await s.client.ready(300)
        assert await first(s.client) == "new"
        assert max(s.server.server.collections.values()) == 41

    virtually(work)


def test_writes_while_the_index_is_built_are_in_it_in_the_end():
    async def work(s):
        s.server.seconds = 1.0
        s.server.server.restart()
        s.client.refresh()
        await until(lambda: s.client.get_health_status()["rebuild"]["done"] in range(10, 190))
        assert await s.client.upsert([("new", QUERY), (ids[3], -QUERY)]) == Written(2, indexed=False)
        assert await s.client.delete([ids[180], ids[2]]) == Written(2, indexed=False)
        assert await s.client.upsert([(ids[2], 0.9 * QUERY + 0.1 * unit(1, seed=5)[0])]) == Written(1, indexed=False)
        assert await s.client.ready(300)
        found = [r.id for r in await s.client.search_by_vector(QUERY, 500)]
        assert found[:2] == ["new", ids[2]]
        assert found[-1] == ids[3]
        assert ids[180] not in found
        assert len(found) == 200

    ids = ids_of(200)
    virtually(work, rows=200)


def test_a_caller_whose_time_is_over_learns_that_the_record_is_safe():
    async def work(s):
        s.server.fault = only("/batch", hanging)
        with deadline(2.0, clock=s.loop):
            assert await s.client.upsert([("new", QUERY)]) == Written(1, indexed=False)
        s.server.fault = None
        await s.loop.sleep(60)
        assert await s.client.ready(300)
        assert await first(s.client) == "new"

    virtually(work)


def test_a_cancelled_write_is_whole_or_not_there():
    async def work(s):
        s.server.seconds = 1.0
        task = asyncio.create_task(s.client.upsert([("new", QUERY)]))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await s.loop.sleep(60)
        assert await s.client.ready(300)
        assert await first(s.client) == "new"

    virtually(work)


def test_a_write_that_waits_when_the_client_is_closed_ends():
    async def work(s):
        s.server.fault = only("/batch", hanging)
        task = asyncio.create_task(s.client.upsert([("new", QUERY)]))
        await s.loop.sleep(1)
        await s.client.close()
        assert await asyncio.wait_for(task, 1) == Written(1, indexed=False)

    virtually(work)


def test_another_process_does_not_take_a_collection_for_what_it_no_longer_is():
    from sengol_api.adapters.dvecdb import DvecdbClient
    from support.dvecdb.clients import options_for

    async def work(s):
        await s.client.upsert([(IDS[0], QUERY)])
        # Its records are what ours were before the write: same fingerprint, same count.
        other = DvecdbClient(options_for(), records=records_of(40), clock=s.loop, transport=s.server, cache=None)
        async with other:
            assert await other.ready(60)
            assert other.get_health_status()["index"]["collection"] != s.client.get_health_status()["index"]["collection"]
            assert await first(other) == exact(VECTORS, QUERY, IDS, 1)[0]
        assert await first(s.client) == IDS[0]

    virtually(work)


def test_records_that_cannot_be_written_through_the_client_are_refused_with_what_to_do():
    class ReadOnly:
        """Only what a client needs to search."""

        embedder = EMBEDDER

        def __init__(self):
            kept = records_of(40)
            self.version, self.count, self.batches, self.metadata = kept.version, kept.count, kept.batches, kept.metadata

    async def work(s):
        for write in (s.client.upsert([("new", QUERY)]), s.client.delete(["inc-0001"])):
            with pytest.raises(TypeError, match=r"call refresh\(\)"):
                await write
        assert len(await s.client.search_by_vector(QUERY)) == 10

    virtually(work, records=ReadOnly())
