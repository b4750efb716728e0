"""Errors of a call that several wait for: each gets it, it is not kept, and never logged."""

import asyncio
import gc
import weakref

import pytest

from sengol_api.resilience.testing import ManualClock, Script, after, run_virtual
from support.toolkit.coalescing import make
from support.toolkit.tasks import settle


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
