"""A deadline is carried to every pipeline, task and thread inside."""

import asyncio
import threading

import pytest

from sengol_api.resilience import Bulkhead, DeadlineExceeded, Pipeline, Retry, TimedOut, Timeout, deadline, remaining
from sengol_api.resilience.deadline import current
from sengol_api.resilience.testing import ManualClock, Script, hang, run_virtual


def test_tasks_that_are_started_inside_inherit_it_and_their_own_ends_with_them():
    async def main(loop):
        pipeline = Pipeline("search", clock=loop)

        async def child():
            with pytest.raises(TimedOut) as cut:
                await pipeline.call(Script(hang))
            assert cut.value.by_deadline
            with deadline(0.0, clock=loop):
                pass
            return loop.time()

        started = loop.time()
        with deadline(1.0, clock=loop):
            tasks = [asyncio.create_task(child()) for _ in range(3)]
        assert current() is None
        assert [0.99 <= ended - started <= 1.02 for ended in await asyncio.gather(*tasks)] == [True] * 3

    run_virtual(main)


def test_each_attempt_gets_what_remains_if_that_is_less_than_its_own_limit():
    async def main(loop):
        pipeline = Pipeline("search", Timeout(1.5), clock=loop)
        with deadline(2.0, clock=loop):
            with pytest.raises(TimedOut) as first:
                await pipeline.call(Script(hang))
            with pytest.raises(TimedOut) as second:
                await pipeline.call(Script(hang))
            assert loop.time() <= 1002.02
        assert (first.value.limit, first.value.by_deadline) == (1.5, False)
        assert second.value.limit == pytest.approx(0.5, abs=0.02)
        assert second.value.by_deadline

    run_virtual(main)


def test_the_policy_inside_has_its_say_before_the_block_is_cut():
    """Whatever the rounding of their timers: an attempt, and a place in a queue."""

    async def main(loop):
        for seconds in (0.01, 0.3, 1.0, 2.0, 3.7, 30.0):
            for passes in (0.0, 0.001, 0.1234, 0.5):
                pipeline = Pipeline("search", Bulkhead(max_concurrent=1), Timeout(1e6), clock=loop)

                async def call_later(upstream, pipeline=pipeline, seconds=passes * seconds):
                    await asyncio.sleep(seconds)
                    await pipeline.call(upstream)

                with pytest.raises(TimedOut) as cut, deadline(seconds, clock=loop):
                    await call_later(Script(hang))
                assert cut.value.name == "search"
                assert pipeline.snapshot()["timeout"].timed_out == 1
                holder = asyncio.create_task(pipeline.call(Script(hang)))
                with pytest.raises(DeadlineExceeded), deadline(seconds, clock=loop):
                    await call_later(Script("well"))
                assert pipeline.snapshot()["bulkhead"].expired == 1
                holder.cancel()

    run_virtual(main)


def test_no_retry_sleeps_past_it():
    async def main(loop):
        upstream = Script(ConnectionError("away"))
        pipeline = Pipeline("search", Retry(max_retries=10, initial_delay=1.0, jitter="none"), clock=loop)
        started = loop.time()
        with deadline(4.0, clock=loop), pytest.raises(ConnectionError, match="away"):
            await pipeline.call(upstream)
        assert loop.time() - started == 3.0  # after 1 s and 2 s; the next would start after 7 s
        assert len(upstream.calls) == 3

    run_virtual(main)


def test_a_plain_thread_carries_it_to_every_pipeline():
    clock = ManualClock()
    pipeline = Pipeline("search", clock=clock)
    upstream = Script("well")
    outcome = []

    def work():
        with deadline(1.0, clock=clock):
            outcome.append(pipeline.call_sync(upstream.sync))
            clock.advance(1.0)
            try:
                pipeline.call_sync(upstream.sync)
            except DeadlineExceeded as error:
                outcome.append(str(error))
        outcome.append(pipeline.call_sync(upstream.sync))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert outcome == ["well", "search: the call was not started: its deadline had passed (deadline)", "well"]
    assert remaining() is None


def test_it_is_carried_into_the_threads_of_an_executor():
    async def main(loop):
        with deadline(2.0, clock=loop):
            return await asyncio.to_thread(remaining)

    assert run_virtual(main) == 2.0


def test_in_a_callback_of_the_loop_where_no_task_runs_it_is_carried_and_cuts_nothing():
    async def main(loop):
        seen = loop.create_future()

        def callback():
            with deadline(1.0, clock=loop):
                seen.set_result(remaining())

        loop.call_soon(callback)
        assert await seen == 1.0

    run_virtual(main)
