"""The index follows the records, whatever the server loses, whoever else is at work, and whenever it is interrupted."""

import asyncio
import logging

import numpy as np
import pytest

from sengol_api.adapters.dvecdb import DvecdbClient, IndexNotReady, IndexRebuilding, InMemoryRecords, Item
from sengol_api.adapters.dvecdb.names import Names
from sengol_api.resilience import CircuitBreaker, deadline
from sengol_api.resilience.testing import run_virtual
from support.dvecdb.clients import DIMENSION, EMBEDDER, exact, ids_of, options_for, records_of, unit, until, virtually
from support.dvecdb.in_memory import InMemoryDvecdb, hanging, only, refusing

QUERY = unit(1, seed=99)[0]
IDS, VECTORS = ids_of(200), unit(200)
RIGHT = exact(VECTORS, QUERY, IDS, 10)


async def nearest(client):
    return [result.id for result in await client.search_by_vector(QUERY, 10, skip_cache=True)]


def rebuild(client):
    return client.get_health_status()["rebuild"]


def client_on(server, loop, rows=200, *, records=None, **options):
    kept = records_of(rows) if records is None else records
    return DvecdbClient(options_for(**options), records=kept, clock=loop, transport=server, cache=None)


def test_a_server_that_lost_everything_is_filled_again_without_a_person():
    async def work(s):
        assert await nearest(s.client) == RIGHT
        s.server.server.restart()
        s.server.seconds = 0.1
        with pytest.raises(IndexRebuilding):
            await nearest(s.client)
        assert s.client.get_health_status()["status"] == "rebuilding"
        assert await s.client.ready(60)
        assert await nearest(s.client) == RIGHT
        assert (s.client.get_health_status()["status"], rebuild(s.client)["completed"]) == ("ok", 2)

    virtually(work, rows=200)


def test_it_is_filled_again_without_any_search_too():
    async def work(s):
        s.server.server.restart()
        await until(lambda: rebuild(s.client)["completed"] == 2, seconds=40)
        assert s.server.count("POST", "/search") == 0

    virtually(work, rows=200)


def test_while_the_index_is_built_nothing_is_searched_and_the_progress_is_told():
    async def work(s):
        s.server.server.restart()
        s.server.seconds = 1.0
        seen = []
        for _ in range(60):
            try:
                await nearest(s.client)
                break
            except IndexRebuilding as error:
                seen.append((error.metadata["done"], error.metadata["total"], error.retry_after))
            await s.loop.sleep(1)
        done = [each for each, _, _ in seen]
        assert {total for _, total, _ in seen} == {200}
        assert done == sorted(done)
        assert len(set(done)) > 3
        assert seen[-1][2] is not None
        assert seen[-1][2] < 10

    virtually(work, rows=200)


def test_a_search_never_sees_a_half_filled_index_of_another_replica():
    server = InMemoryDvecdb()

    async def main(loop):
        async with client_on(server, loop) as one, client_on(server, loop) as other:
            assert await one.ready(60)
            assert await other.ready(60)
            server.server.restart()
            server.seconds = 0.5
            wrong, right, refused = [], 0, 0
            for turn in range(200):
                client = (one, other)[turn % 2]
                try:
                    found = await nearest(client)
                except IndexNotReady:
                    refused += 1
                else:
                    right += found == RIGHT
                    if found != RIGHT:
                        wrong.append(found)
                await loop.sleep(0.1)
            assert wrong == []
            assert right > 10
            assert refused > 10

    run_virtual(main)


def test_two_replicas_that_start_at_once_end_with_one_complete_collection():
    server = InMemoryDvecdb()
    server.seconds = 0.05

    async def main(loop):
        async with client_on(server, loop) as one, client_on(server, loop) as other:
            assert await one.ready(300)
            assert await other.ready(300)
            assert list(server.server.collections.values()) == [200]
            assert await nearest(one) == await nearest(other) == RIGHT

    run_virtual(main)


def test_a_replica_that_finds_a_complete_collection_inserts_nothing():
    server = InMemoryDvecdb()

    async def main(loop):
        async with client_on(server, loop) as one:
            assert await one.ready(60)
        server.sent.clear()
        async with client_on(server, loop) as other:
            assert await other.ready(60)
            assert await nearest(other) == RIGHT
        assert server.count("POST", "/batch") == 0

    run_virtual(main)


def test_a_replica_waits_for_one_that_is_filling_and_goes_on_when_that_one_is_gone():
    server = InMemoryDvecdb()
    server.seconds = 1.0

    async def main(loop):
        one = client_on(server, loop)
        async with client_on(server, loop) as other:
            async with one:
                await until(lambda: rebuild(one)["done"] >= 50)
                other.refresh()
                await until(lambda: rebuild(other)["done"] >= 50)
                await loop.sleep(4)
            assert await other.ready(300)
            assert list(server.server.collections.values()) == [200]
            assert server.count("POST", "/batch") <= 200 / 10 + 2
            assert await nearest(other) == RIGHT

    run_virtual(main)


def test_an_interrupted_build_goes_on_where_it_was():
    server = InMemoryDvecdb()
    server.seconds = 1.0

    async def main(loop):
        async with client_on(server, loop) as one:
            await until(lambda: rebuild(one)["done"] >= 100)
        (have,) = server.server.collections.values()
        assert have < 200
        server.sent.clear()
        async with client_on(server, loop) as other:
            assert await other.ready(300)
            assert await nearest(other) == RIGHT
        assert server.count("POST", "/batch") <= (200 - have) / 10 + 1

    run_virtual(main)


def test_a_half_that_is_not_the_first_half_is_made_whole_as_well():
    server = InMemoryDvecdb()
    server.seconds = 1.0

    async def main(loop):
        async with client_on(server, loop) as one:
            await until(lambda: rebuild(one)["done"] >= 100)
        (name,) = server.server.collections
        server.server.lose(name, 0.3)
        async with client_on(server, loop) as other:
            assert await other.ready(300)
            assert await nearest(other) == RIGHT
        assert list(server.server.collections.values()) == [200]

    run_virtual(main)


def test_a_count_that_does_not_match_means_a_new_index_under_a_new_name():
    async def work(s):
        (name,) = s.server.server.collections
        s.server.server.lose(name, 0.5)
        await until(lambda: rebuild(s.client)["completed"] == 2, seconds=60)
        await s.loop.sleep(1)
        assert list(s.server.server.collections.values()) == [200]
        assert name not in s.server.server.collections
        assert await nearest(s.client) == RIGHT

    virtually(work, rows=200)


def test_a_collection_that_was_made_otherwise_is_not_used():
    server = InMemoryDvecdb()

    async def main(loop):
        name = str(Names("incidents", EMBEDDER, DIMENSION).new(await records_of(200).version(), loop.wall()))
        poor = {"max_connections": 2, "ef_construction": 2, "ef_search": 1, "max_layer": 4}
        await server.handle_async_request(_create(name, poor))
        async with client_on(server, loop) as client:
            assert await client.ready(60)
            assert client.get_health_status()["index"]["collection"] != name
            assert await nearest(client) == RIGHT

    run_virtual(main)


def _create(name, index):
    import httpx2

    told = {"name": name, "dimension": DIMENSION, "distance_metric": "Cosine", "vector_type": "Float32", "index_config": index}
    return httpx2.Request("POST", "http://x/collections", json=told)


# The records change ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["added", "removed", "changed"])
def test_records_that_others_changed_are_noticed_and_nothing_old_is_found_after_that(change):
    async def work(s):
        if change == "added":
            await s.records.put([Item("new", QUERY)])
        elif change == "removed":
            await s.records.remove([RIGHT[0]])
        else:
            await s.records.put([Item(RIGHT[0], -QUERY)])
        s.client.refresh()
        await s.loop.sleep(0.2)
        await s.client.ready(60)
        found = await nearest(s.client)
        assert (found[0] == "new") if change == "added" else (RIGHT[0] not in found)
        await s.loop.sleep(1)
        assert len([name for name in s.server.server.collections if not name.endswith("-x")]) == 1

    virtually(work, rows=200)


def test_what_the_records_were_is_dropped_but_what_others_and_other_embedders_have_is_left_alone():
    server = InMemoryDvecdb()
    mine, theirs = records_of(30), records_of(30, embedder="another")

    async def main(loop):
        await server.handle_async_request(_create("incidents-of-somebody", {**_INDEX}))
        async with client_on(server, loop, records=mine) as one, client_on(server, loop, records=theirs) as other:
            assert await one.ready(60)
            assert await other.ready(60)
            await mine.put([Item("new", QUERY)])
            one.refresh()
            await loop.sleep(100_000)
            assert (rebuild(one)["completed"], rebuild(other)["completed"]) == (2, 1)
            counts = {name: count for name, count in server.server.collections.items() if not name.endswith("-x")}
            assert sorted(counts.values()) == [0, 30, 31]
            assert "incidents-of-somebody" in counts

    run_virtual(main)


_INDEX = {"max_connections": 64, "ef_construction": 64, "ef_search": 1, "max_layer": 16}


def test_what_an_ended_process_left_behind_is_removed_after_a_while():
    server = InMemoryDvecdb()

    async def main(loop):
        async with client_on(server, loop, rows=30) as old:
            assert await old.ready(60)
        await loop.sleep(2)
        async with client_on(server, loop, rows=40, drop_after=600) as new:
            assert await new.ready(60)
            await loop.sleep(500)
            assert sorted(server.server.collections.values()) == [30, 40]
            await loop.sleep(200)
            assert list(server.server.collections.values()) == [40]

    run_virtual(main)


def test_two_replicas_that_take_each_other_for_gone_cost_one_build_in_all():
    server = InMemoryDvecdb()

    async def main(loop):
        async with client_on(server, loop, rows=30, drop_after=600) as old:
            assert await old.ready(60)
            await loop.sleep(2)
            async with client_on(server, loop, rows=40, drop_after=600) as new:
                assert await new.ready(60)
                for _ in range(100):
                    await loop.sleep(100)
                    await nearest_or_none(old)
                assert (rebuild(old)["completed"], rebuild(new)["completed"]) == (2, 1)
                assert sorted(server.server.collections.values()) == [30, 40]
                assert await nearest(old) == exact(unit(30), QUERY, ids_of(30), 10)
                assert await nearest(new) == exact(unit(40), QUERY, ids_of(40), 10)

    run_virtual(main)


def test_of_two_complete_collections_of_one_state_one_goes_and_its_user_takes_the_other():
    server = InMemoryDvecdb()

    async def main(loop):
        async with client_on(server, loop, rows=30, drop_after=600) as one:
            assert await one.ready(60)
            (name,) = server.server.collections
            kept = server.server._collections.pop(name)  # out of sight, so that the other builds its own
            async with client_on(server, loop, rows=30, drop_after=600) as other:
                await loop.sleep(2)
                assert await other.ready(60)
                server.server._collections[name] = kept
                await loop.sleep(2000)
                assert list(server.server.collections.values()) == [30]
                assert await nearest(one) == await nearest(other) == exact(unit(30), QUERY, ids_of(30), 10)
                assert rebuild(other)["completed"] == 1

    run_virtual(main)


async def nearest_or_none(client):
    try:
        return await nearest(client)
    except IndexNotReady:
        return None


def test_records_that_change_while_the_last_vector_goes_in_are_not_served_from_what_they_were():
    server = InMemoryDvecdb()
    records = records_of(200)
    changed = []

    async def at_the_last_moment(request):
        if request.method == "GET" and 200 in server.server.collections.values() and not changed:
            changed.append(await records.put([Item(RIGHT[0], -QUERY)]))

    server.fault = at_the_last_moment

    async def main(loop):
        async with client_on(server, loop, records=records) as client:
            assert await client.ready(20)
            assert changed
            assert RIGHT[0] not in await nearest(client)

    run_virtual(main)


def test_a_build_of_what_the_records_were_is_not_finished():
    server = InMemoryDvecdb()
    server.seconds = 1.0
    records = records_of(2000)

    async def main(loop):
        async with client_on(server, loop, records=records, insert_time=10.0) as client:
            await until(lambda: rebuild(client)["done"] >= 300)
            await records.put([Item("new", QUERY)])
            assert await client.ready(600)
            assert (await nearest(client))[0] == "new"
        assert server.count("POST", "/batch") <= 2001 / 50 + 25

    run_virtual(main)


# Faults ------------------------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_at_the_start_is_waited_for():
    server = InMemoryDvecdb()
    server.fault = refusing

    async def main(loop):
        async with client_on(server, loop, breaker=CircuitBreaker()) as client:
            with pytest.raises(IndexNotReady) as caught:
                await nearest(client)
            assert "secret" not in str(caught.value)
            await loop.sleep(300)
            health = client.get_health_status()
            assert health["status"] in {"unknown", "unavailable"}
            assert health["rebuild"]["lastError"]
            assert "secret" not in str(health)
            server.fault = None
            assert await client.ready(120)
            assert await nearest(client) == RIGHT
            assert client.get_health_status()["rebuild"]["lastError"] is None

    run_virtual(main)


def test_a_server_that_hangs_at_the_start_holds_no_search_for_longer_than_a_second():
    server = InMemoryDvecdb()
    server.fault = hanging

    async def main(loop):
        async with client_on(server, loop) as client:
            for patience in (1.0, 0.0):
                began = loop.time()
                with pytest.raises(IndexNotReady):
                    await nearest(client)
                assert loop.time() - began <= patience + 1.0

    run_virtual(main)


def test_a_build_that_is_cut_off_again_and_again_comes_to_its_end():
    server = InMemoryDvecdb()

    async def main(loop):
        left = [5]

        async def now_and_then(request):
            left[0] -= 1
            if left[0] % 4 == 0:
                await refusing(request)

        server.fault = only("/batch", now_and_then)
        async with client_on(server, loop, rows=500, breaker=CircuitBreaker(failure_threshold=2, reset_timeout=5)) as client:
            assert await client.ready(3600)
            assert await nearest(client) == exact(unit(500), QUERY, ids_of(500), 10)

    run_virtual(main)


def test_a_restart_in_the_middle_of_a_build_begins_another_one():
    server = InMemoryDvecdb()
    server.seconds = 1.0

    async def main(loop):
        async with client_on(server, loop) as client:
            for _ in range(3):
                await until(lambda: rebuild(client)["done"] >= 50)
                server.server.restart()
                await loop.sleep(3)
            assert await client.ready(300)
            assert await nearest(client) == RIGHT

    run_virtual(main)


class Moody(InMemoryRecords):
    """Records that cannot always be read."""

    broken: Exception | None = None

    async def version(self):
        """See the protocol."""
        if self.broken is not None:
            raise self.broken
        return await super().version()


def test_records_that_cannot_be_read_end_nothing(caplog):
    records = Moody(IDS, VECTORS, embedder=EMBEDDER)

    async def work(s):
        records.broken = RuntimeError("password=hunter2")
        await s.loop.sleep(300)
        assert await nearest(s.client) == RIGHT
        records.broken = None
        s.server.server.restart()
        await s.loop.sleep(120)
        assert await nearest(s.client) == RIGHT

    with caplog.at_level(logging.DEBUG):
        virtually(work, records=records)
    assert "hunter2" not in caplog.text


class Boastful(InMemoryRecords):
    """Records that say they are more than they are."""

    async def count(self):
        """See the protocol."""
        return await super().count() + 1


def test_records_that_contradict_themselves_do_not_keep_the_server_busy_or_fill_it():
    async def work(s):
        await s.loop.sleep(1000)
        assert s.server.count("POST", "/batch") < 100
        assert len(s.server.server.collections) <= 1
        assert "not as many vectors" in rebuild(s.client)["lastError"]
        with pytest.raises(IndexNotReady):
            await nearest(s.client)

    virtually(work, records=Boastful(IDS, VECTORS, embedder=EMBEDDER), wait=False)


class Damaged(InMemoryRecords):
    """Records with a vector that is none."""

    async def batches(self, size):
        """See the protocol."""
        async for batch in super().batches(size):
            vectors = batch.vectors.copy()
            vectors[3, 0] = np.nan
            yield batch._replace(vectors=vectors)


def test_a_record_that_cannot_be_indexed_is_named():
    async def work(s):
        await s.loop.sleep(10)
        assert "'inc-0003' cannot be in the index" in rebuild(s.client)["lastError"]

    virtually(work, records=Damaged(IDS, VECTORS, embedder=EMBEDDER), wait=False)


def test_records_that_change_all_the_time_are_not_served_from_an_index_of_before():
    async def work(s):
        s.server.seconds = 0.5
        for turn in range(30):
            await s.records.put([Item(RIGHT[0], -QUERY if turn % 2 == 0 else QUERY)])
            s.client.refresh()
            await s.loop.sleep(0.7)
            if s.client.get_health_status()["index"]["version"] == await s.records.version():
                assert (RIGHT[0] in await nearest(s.client)) is (turn % 2 == 1)
        assert await s.client.ready(60)
        assert await nearest(s.client) == RIGHT

    virtually(work, rows=200)


def test_the_deadline_of_whoever_came_first_does_not_bind_the_task():
    server = InMemoryDvecdb()
    server.seconds = 1.0

    async def main(loop):
        client = client_on(server, loop)
        with pytest.raises(IndexNotReady), deadline(3.0, clock=loop):
            await nearest(client)
        assert await client.ready(300)
        assert await nearest(client) == RIGHT
        await client.close()

    run_virtual(main)


def test_closing_in_the_middle_of_a_build_ends_the_task_at_once():
    server = InMemoryDvecdb()
    server.seconds = 1.0

    async def main(loop):
        async with client_on(server, loop) as client:
            await until(lambda: rebuild(client)["done"] >= 50)
            began = loop.time()
        assert loop.time() == began
        await asyncio.sleep(0)
        assert server.running == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main)


def test_inserts_are_small_one_at_a_time_and_leave_the_server_its_pauses():
    server = InMemoryDvecdb()
    times = []

    async def slow(request):
        times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.02 * request.body.count(b'"id"'))
        times.append(asyncio.get_running_loop().time())

    server.fault = only("/batch", slow)

    async def main(loop):
        async with client_on(server, loop, insert_pause=1.0, insert_time=0.3) as client:
            assert await client.ready(600)
        sizes = [body.count(b'"id"') for body, (_, path) in zip(server.bodies, server.sent, strict=True) if path.endswith("/batch")]
        assert max(sizes) <= 15
        assert min(sizes[:-1]) >= 10
        busy = np.diff(times)[::2].sum()
        idle = np.diff(times)[1::2].sum()
        assert idle >= 0.95 * (busy - 0.3)
        assert server.most == 1
        assert b"metadata" not in b"".join(server.bodies)
        assert {method for method, _ in server.sent} <= {"GET", "POST", "DELETE"}

    run_virtual(main)


def test_wide_vectors_are_inserted_in_bodies_that_the_server_takes():
    server = InMemoryDvecdb()
    wide = InMemoryRecords(ids_of(100), unit(100, dimension=4096), embedder=EMBEDDER)

    async def main(loop):
        async with client_on(server, loop, records=wide, dimension=4096) as client:
            assert await client.ready(600)
        assert max(map(len, server.bodies)) <= 2_097_152

    run_virtual(main)
