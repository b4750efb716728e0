"""Callers who want the same at the same time share one call."""

import asyncio

import pytest

from sengol_api.resilience.deadline import deadline, remaining
from sengol_api.resilience.errors import DeadlineExceeded, TimedOut
from sengol_api.resilience.retry import Retry
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from sengol_api.resilience.timeout import Timeout
from support.toolkit.coalescing import make
from support.toolkit.tasks import settle


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
