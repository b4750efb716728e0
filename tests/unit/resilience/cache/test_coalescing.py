"""Callers who want the same at the same time share one call."""

import asyncio
import gc
import threading
import weakref
from functools import partial

import pytest

from sengol_api.resilience.cache.options import Cache
from sengol_api.resilience.cache.states import NotCached
from sengol_api.resilience.deadline import deadline, remaining
from sengol_api.resilience.errors import DeadlineExceeded, TimedOut
from sengol_api.resilience.pipeline import Pipeline
from sengol_api.resilience.retry import Retry
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from sengol_api.resilience.timeout import Timeout
from support.threads import WaitingClock, in_threads


def make(clock, *inside, **options):
    pipeline = Pipeline("search", Cache(**{"key": lambda query: query, **options}), *inside, clock=clock)
    return pipeline, pipeline["cache"]


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


def others():
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_n_identical_calls_at_once_are_one_upstream_call():
    async def main(loop):
        pipeline, cache = make(loop)
        upstream = Script(after(1.0, "answer"))
        assert await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(100))) == ["answer"] * 100
        assert len(upstream.calls) == 1
        snapshot = cache.snapshot()
        assert (snapshot.misses, snapshot.coalesced, snapshot.in_flight) == (1, 99, 0)
        assert snapshot.hit_rate == pytest.approx(0.99)

    run_virtual(main)


def test_those_who_share_a_call_do_not_share_a_value_that_can_be_changed():
    async def main(loop):
        pipeline, _ = make(loop)
        values = await asyncio.gather(*(pipeline.call(Script(after(1.0, [1])), "a") for _ in range(3)))
        assert values == [[1]] * 3
        assert len({id(value) for value in values}) == 3

    run_virtual(main)


def test_a_cancelled_leader_harms_no_follower():
    async def main(loop):
        pipeline, _ = make(loop)
        upstream = Script(after(1.0, "answer"))
        leader = asyncio.create_task(pipeline.call(upstream, "a"))
        await settle()
        followers = [asyncio.create_task(pipeline.call(upstream, "a")) for _ in range(5)]
        await settle()
        leader.cancel()
        assert await asyncio.gather(*followers) == ["answer"] * 5
        assert leader.cancelled()
        assert (len(upstream.calls), upstream.cancelled) == (1, 0)

    run_virtual(main)


def test_a_cancelled_follower_harms_nobody():
    async def main(loop):
        pipeline, cache = make(loop)
        upstream = Script(after(1.0, "answer"))
        calls = [asyncio.create_task(pipeline.call(upstream, "a")) for _ in range(5)]
        await settle()
        calls[3].cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[:3] + results[4:] == ["answer"] * 4
        assert isinstance(results[3], asyncio.CancelledError)
        assert cache.snapshot().coalesced == 3, "a cancelled call counts nowhere"

    run_virtual(main)


def test_a_follower_that_is_cancelled_as_the_call_ends_harms_nobody():
    async def main(loop):
        pipeline, _ = make(loop)

        async def upstream(query):
            await asyncio.sleep(1.0)
            calls[1].cancel()
            return "answer"

        calls = [asyncio.create_task(pipeline.call(upstream, "a")) for _ in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[::2] == ["answer"] * 2
        assert isinstance(results[1], asyncio.CancelledError)

    run_virtual(main)


def test_when_the_last_waiter_has_gone_the_work_is_cancelled():
    async def main(loop):
        pipeline, cache = make(loop)
        upstream = Script(hang, "answer")
        calls = [asyncio.create_task(pipeline.call(upstream, "a")) for _ in range(3)]
        await settle()
        for call in calls[:2]:
            call.cancel()
        await settle()
        assert upstream.running == 1
        calls[2].cancel()
        await settle()
        assert (upstream.running, upstream.cancelled) == (0, 1)
        assert others() == set()
        assert cache.snapshot().in_flight == 0
        assert await pipeline.call(upstream, "a") == "answer", "no poisoned future stays"

    run_virtual(main)


def test_who_comes_after_the_last_waiter_has_gone_starts_anew():
    async def main(loop):
        pipeline, _ = make(loop)

        async def stubborn(query):
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                await asyncio.sleep(5.0)
            return "old"

        first = asyncio.create_task(pipeline.call(stubborn, "a"))
        await settle()
        first.cancel()
        await settle()
        assert await pipeline.call(Script("new"), "a") == "new"
        await asyncio.sleep(20.0)
        assert await pipeline.call(Script("never"), "a") == "new", "nobody waited for the old one: it is not kept"

    run_virtual(main)


def test_a_call_cancelled_before_its_work_began_leaves_nothing():
    async def main(loop):
        pipeline, cache = make(loop)
        upstream = Script("answer")
        call = asyncio.create_task(pipeline.call(upstream, "a"))
        await asyncio.sleep(0)  # it has started the shared task, which has not taken its first step
        for task in others():
            task.cancel()
        await settle()
        assert call.cancelled()
        assert upstream.calls == []
        assert cache.snapshot().in_flight == 0
        assert await pipeline.call(upstream, "a") == "answer"

    run_virtual(main)


def test_a_shared_task_cancelled_before_its_first_step_is_made_up_for():
    async def main(loop):
        pipeline, _ = make(loop)
        upstream = Script("answer")
        leader = asyncio.create_task(pipeline.call(upstream, "a"))
        follower = asyncio.create_task(pipeline.call(upstream, "a"))
        await asyncio.sleep(0)
        for task in others() - {leader, follower}:
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        assert await follower == "answer"

    run_virtual(main)


def test_work_that_is_cancelled_from_inside_cancels_no_follower():
    async def main(loop):
        pipeline, cache = make(loop)
        upstream = Script(after(1.0, asyncio.CancelledError()), after(1.0, "answer"))
        calls = [asyncio.create_task(pipeline.call(upstream, "a")) for _ in range(4)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == ["answer"] * 3
        assert len(upstream.calls) == 2
        assert cache.snapshot().misses == 1

    run_virtual(main)


def test_all_who_wait_get_the_error_and_it_is_not_kept():
    async def main(loop):
        pipeline, cache = make(loop)
        upstream = Script(after(1.0, ValueError("no")), "answer")
        results = await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(50)), return_exceptions=True)
        assert {str(each) for each in results} == {"no"}
        assert len(upstream.calls) == 1
        assert (cache.snapshot().misses, cache.snapshot().coalesced) == (1, 49)
        depth, trace = 0, results[-1].__traceback__
        while trace is not None:
            depth, trace = depth + 1, trace.tb_next
        assert depth < 15, "the traceback grows with the number of those who raise it"
        assert await pipeline.call(upstream, "a") == "answer"

    run_virtual(main)


@pytest.mark.parametrize("sync", [False, True])
def test_an_error_is_freed_with_its_last_reader(sync):
    class BigError(Exception):
        pass

    def call_sync(pipeline):
        try:
            pipeline.call_sync(Script(BigError).sync, "a")
        except BigError as error:
            return weakref.ref(error)

    async def call(pipeline):
        try:
            await pipeline.call(Script(BigError), "a")
        except BigError as error:
            return weakref.ref(error)

    async def main(loop):
        pipeline, _ = make(loop)
        gc.collect()
        gc.disable()
        try:
            reference = call_sync(pipeline) if sync else await call(pipeline)
            await settle()
            assert reference() is None, "a circle holds it until the next collection"
        finally:
            gc.enable()

    run_virtual(main)


def test_an_unretrieved_error_is_never_logged():
    logged = []

    async def main(loop):
        loop.set_exception_handler(lambda _, context: logged.append(context))
        pipeline, _ = make(loop, ttl=1.0, stale_while_revalidate=100.0)
        late = asyncio.create_task(pipeline.call(Script(after(1.0, ValueError("late"))), "a"))
        await settle()
        late.cancel()
        cancelled_then_fails = asyncio.create_task(pipeline.call(_fails_when_cancelled, "b"))
        await settle()
        cancelled_then_fails.cancel()
        await pipeline.call(Script("one"), "c")
        await asyncio.sleep(2.0)
        await pipeline.call(Script(ValueError("refresh")), "c")
        await asyncio.sleep(1.0)
        gc.collect()

    run_virtual(main)
    gc.collect()
    assert logged == []


def test_the_end_of_the_process_is_nobodys_answer_and_is_not_logged_either():
    logged = []

    async def main(loop):
        loop.set_exception_handler(lambda _, context: logged.append(context))
        await pipelines[0].call(Script(SystemExit(3)), "a")

    pipelines = [make(ManualClock())[0]]
    with pytest.raises(SystemExit):
        run_virtual(main)
    gc.collect()
    assert logged == []
    assert pipelines[0]["cache"].snapshot().in_flight == 0


async def _fails_when_cancelled(query):
    try:
        await asyncio.sleep(10.0)
    except asyncio.CancelledError:
        raise ValueError("in the middle of it") from None


def test_the_shared_call_knows_nothing_of_its_first_callers_deadline():
    async def main(loop):
        pipeline, _ = make(loop)
        seen = []

        async def upstream(query):
            seen.append(remaining())
            await asyncio.sleep(5.0)
            return "answer"

        async def hasty():
            with deadline(1.0, clock=loop):
                return await pipeline.call(upstream, "a")

        leader = asyncio.create_task(hasty())
        await settle()
        follower = asyncio.create_task(pipeline.call(upstream, "a"))
        started = loop.now()
        with pytest.raises(TimedOut) as caught:
            await leader
        assert caught.value.by_deadline
        assert loop.now() - started == pytest.approx(1.0, abs=0.02)
        assert await follower == "answer"
        assert seen == [None]

    run_virtual(main)


def test_a_follower_keeps_to_its_own_deadline():
    async def main(loop):
        pipeline, _ = make(loop)
        upstream = Script(after(5.0, "answer"))
        leader = asyncio.create_task(pipeline.call(upstream, "a"))
        await settle()
        with pytest.raises(TimedOut), deadline(2.0, clock=loop):
            await pipeline.call(upstream, "a")
        with deadline(60.0, clock=loop):
            assert await pipeline.call(upstream, "a") == "answer"
        assert await leader == "answer"
        with pytest.raises(DeadlineExceeded), deadline(0.0, clock=loop):
            await pipeline.call(upstream, "b")
        assert len(upstream.calls) == 1

    run_virtual(main)


def test_the_policies_inside_work_once_for_all():
    async def main(loop):
        pipeline, _ = make(loop, Retry(jitter="none"), Timeout(2.0))
        upstream = Script(ConnectionError(), hang, "answer")
        assert await asyncio.gather(*(pipeline.call(upstream, "a") for _ in range(5))) == ["answer"] * 5
        assert len(upstream.calls) == 3

    run_virtual(main)


def test_what_was_invalidated_while_it_was_on_its_way_is_not_kept():
    async def main(loop):
        for forget in ("invalidate", "clear"):
            pipeline, cache = make(loop)
            upstream = Script(after(5.0, "old"), "new")
            early = asyncio.create_task(pipeline.call(upstream, "a"))
            await asyncio.sleep(1.0)
            cache.invalidate("a") if forget == "invalidate" else cache.clear()
            assert await pipeline.call(upstream, "a") == "new", "who comes later does not join it"
            assert await early == "old"
            assert cache.get("a") == "new"

    run_virtual(main)


def test_what_was_put_meanwhile_is_not_overwritten():
    async def main(loop):
        pipeline, cache = make(loop)
        early = asyncio.create_task(pipeline.call(Script(after(5.0, "old")), "a"))
        await asyncio.sleep(1.0)
        cache.put("a", "put")
        assert await early == "old"
        assert cache.get("a") == "put"

    run_virtual(main)


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


def run_threads(count, work):
    return in_threads(*(partial(work, number) for number in range(count)))


def test_eight_threads_share_one_call():
    clock = WaitingClock()
    pipeline, cache = make(clock)
    calls = []

    def upstream(query):
        calls.append(query)
        for _ in range(7):
            clock.waiting.acquire()
        return ["answer"]

    results = run_threads(8, lambda number: pipeline.call_sync(upstream, "a"))
    assert results == [["answer"]] * 8
    assert len({id(each) for each in results}) == 8
    assert calls == ["a"]
    assert (cache.snapshot().misses, cache.snapshot().coalesced) == (1, 7)


def test_threads_share_an_error_too():
    clock = WaitingClock()
    pipeline, cache = make(clock)

    def upstream(query):
        for _ in range(7):
            clock.waiting.acquire()
        raise ValueError("no")

    results = run_threads(8, lambda number: pipeline.call_sync(upstream, "a"))
    assert {str(each) for each in results} == {"no"}
    assert (cache.snapshot().misses, cache.snapshot().coalesced, cache.snapshot().in_flight) == (1, 7, 0)


def test_a_thread_that_is_interrupted_harms_no_other():
    clock = WaitingClock()
    pipeline, _ = make(clock)
    calls = []

    def upstream(query):
        calls.append(query)
        if len(calls) == 1:
            for _ in range(7):
                clock.waiting.acquire()
            raise KeyboardInterrupt
        return "answer"

    results = run_threads(8, lambda number: pipeline.call_sync(upstream, "a"))
    assert sorted(map(repr, results)) == ["'answer'"] * 7 + ["KeyboardInterrupt()"]


def test_a_thread_with_more_time_does_not_take_the_failure_of_one_with_less():
    clock = WaitingClock()
    pipeline, _ = make(clock)
    leading = threading.Event()
    calls = []

    def upstream(query):
        calls.append(remaining())
        if len(calls) == 1:
            leading.set()
            for _ in range(3):
                clock.waiting.acquire()
            raise TimeoutError("its deadline")
        return "answer"

    def work(number):
        if number == 0:
            with deadline(1.0, clock=clock):
                return pipeline.call_sync(upstream, "a")
        leading.wait()
        if number == 1:
            with deadline(0.5, clock=clock):
                return pipeline.call_sync(upstream, "a")
        if number == 2:
            with deadline(9.0, clock=clock):
                return pipeline.call_sync(upstream, "a")
        return pipeline.call_sync(upstream, "a")

    results = run_threads(4, work)
    assert [type(each) for each in results] == [TimeoutError, TimeoutError, str, str]
    assert calls[0] == 1.0


def test_a_thread_waits_no_longer_than_its_deadline():
    clock = ManualClock()
    pipeline, cache = make(clock)
    shared, starts = cache._shared.join("a")
    assert starts
    with pytest.raises(TimedOut) as caught, deadline(2.0, clock=clock):
        pipeline.call_sync(Script("never").sync, "a")
    assert caught.value.by_deadline
    assert clock.slept == [2.0]
    with pytest.raises(DeadlineExceeded), deadline(0.0, clock=clock):
        pipeline.call_sync(Script("never").sync, "a")
    cache._shared.run(shared, lambda: None)


def test_threads_make_each_their_own_of_what_cannot_be_shared():
    clock = WaitingClock()
    pipeline, _ = make(clock, copy=lambda value: 1 / 0)
    calls = []

    def upstream(query):
        calls.append(query)
        if len(calls) == 1:
            for _ in range(3):
                clock.waiting.acquire()
        return [len(calls)]

    results = run_threads(4, lambda number: pipeline.call_sync(upstream, "a"))
    assert all(isinstance(each, list) for each in results)
    assert len(calls) == 4
