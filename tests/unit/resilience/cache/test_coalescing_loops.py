"""Shared calls in several event loops, and calls that ask for their own key."""

import asyncio
import gc
import threading

from sengol_api.resilience.cache.states import NotCached
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.coalescing import make
from support.toolkit.tasks import settle


def test_a_result_that_cannot_be_shared_is_made_for_each():
    async def main(loop):
        pipeline, cache = make(loop, copy=lambda value: 1 / 0)
        events = []
        pipeline.subscribe(events.append, NotCached)
        upstream = Script(after(1.0, [1]), [2], [3])
        assert sorted(await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(3)))) == [[1], [2], [3]]
        assert len(events) == 1
        assert cache.snapshot().misses == 3

        def only_in(value, count=[]):  # noqa: B006 - counts
            count.append(1)
            return list(value) if len(count) == 1 else 1 / 0

        pipeline, _ = make(loop, copy=only_in)
        assert await asyncio.gather(*(pipeline.call(Script(after(1.0, [1])), "a") for _ in range(2))) == [[1], [1]]

    run_virtual(main)


def test_work_that_asks_for_its_own_key_does_not_wait_for_itself():
    async def main(loop):
        pipeline, _ = make(loop)

        async def upstream(query):
            return "inner" if depth else "outer " + await nested(query)

        async def nested(query):
            depth.append(1)
            return await pipeline.call(upstream, query)

        depth = []
        assert await pipeline.call(upstream, "a") == "outer inner"

        def plain(query):
            if depth:
                return "inner"
            depth.append(1)
            return "outer " + pipeline.call_sync(plain, query)

        depth.clear()
        assert pipeline.call_sync(plain, "b") == "outer inner"

    run_virtual(main)


def test_nothing_is_left_behind_when_the_loop_closes():
    async def main(loop):
        pipeline, _ = caches[0] = make(loop, ttl=1.0, stale_while_revalidate=100.0)
        await pipeline.call(Script("one"), "a")
        await asyncio.sleep(2.0)
        assert await pipeline.call(upstream, "a") == "one"
        await settle()
        gc.collect()
        assert upstream.running == 1, "the task is held while it works"

    caches = {}
    upstream = Script(hang)
    run_virtual(main)
    assert (upstream.running, upstream.cancelled) == (0, 1)
    assert caches[0][1].snapshot().in_flight == 0
    assert len(caches[0][1]._shared._tasks) == 0


def test_what_a_closed_loop_left_is_forgotten():
    pipeline, cache = make(ManualClock())
    abandoned = asyncio.new_event_loop()
    task = abandoned.create_task(pipeline.call(Script(hang), "a"))
    for _ in range(5):
        abandoned.run_until_complete(asyncio.sleep(0))
    # Its owner stops it in the middle; a task that is destroyed while it waits is logged, whoever it belongs to.
    abandoned.set_exception_handler(lambda *_: None)
    abandoned.close()
    assert asyncio.run(asyncio.wait_for(pipeline.call(Script("answer"), "a"), 5)) == "answer"
    assert cache.snapshot().in_flight == 0
    for each in [task, *cache._shared._tasks]:
        each._log_destroy_pending = False
        each.get_coro().close()


def test_two_loops_at_once_share_the_entries_and_each_makes_its_own_calls():
    pipeline, cache = make(ManualClock())
    barrier = threading.Barrier(2)
    calls, results = [], []

    async def upstream(query):
        calls.append(asyncio.get_running_loop())
        await asyncio.to_thread(barrier.wait)
        return "answer"

    async def main():
        return await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(10)))

    threads = [threading.Thread(target=lambda: results.append(asyncio.run(main()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [["answer"] * 10] * 2
    assert len(set(calls)) == len(calls) == 2
    assert cache.snapshot().entries == 1
