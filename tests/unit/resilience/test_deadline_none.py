"""``deadline(None)``: work that no deadline around it may bind."""

import asyncio
import contextvars

import pytest

from sengol_api.resilience import Pipeline, TimedOut, deadline, remaining
from sengol_api.resilience.deadline import without_deadline
from sengol_api.resilience.testing import ManualClock, Script, after, run_virtual
from support.toolkit.tasks import forever


def test_none_frees_what_is_done_inside_from_a_deadline_around_it():
    async def main(loop):
        started = loop.time()
        background = []

        async def cleans_up():
            with deadline(None):
                assert remaining() is None
                background.append(asyncio.create_task(Pipeline("refresh", clock=loop).call(Script(after(5.0, "fresh")))))
                await asyncio.sleep(3.0)
            assert loop.time() - started == 3.0
            assert remaining() == 0.0
            await forever()

        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await cleans_up()
        assert 3.0 <= loop.time() - started <= 3.01
        assert await background[0] == "fresh"

    run_virtual(main)


def test_none_gives_the_deadline_around_it_its_whole_time_back():
    async def main(loop):
        async def rests():
            with deadline(None), deadline(None):
                await asyncio.sleep(0.5)
            await forever()

        started = loop.time()
        with pytest.raises(TimedOut), deadline(2.0, clock=loop), deadline(3.0, clock=loop):
            await rests()
        assert 2.0 <= loop.time() - started <= 2.05

    run_virtual(main)


def test_none_after_a_cut_protects_the_cleaning_up():
    async def main(loop):
        cleaned = []

        async def cleans_up():
            try:
                await forever()
            finally:
                with deadline(None):
                    await asyncio.sleep(5)
                    cleaned.append(True)

        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await cleans_up()
        assert cleaned

    run_virtual(main)


def test_none_in_a_task_leaves_the_deadline_of_the_task_that_started_it():
    async def main(loop):
        async def child():
            with deadline(None):
                await asyncio.sleep(5)

        async def starts_it():
            tasks.append(asyncio.create_task(child()))
            await forever()

        tasks = []
        started = loop.time()
        with pytest.raises(TimedOut), deadline(1.0, clock=loop):
            await starts_it()
        assert loop.time() - started <= 1.05
        await tasks[0]

    run_virtual(main)


def test_none_in_a_task_that_ends_early_leaves_the_deadline_of_the_task_that_started_it():
    async def main(loop):
        async def child():
            with deadline(None):
                await asyncio.sleep(5)

        with deadline(10.0, clock=loop):
            await asyncio.create_task(child())
        await asyncio.sleep(20)  # nothing is left that could cut this

    run_virtual(main)


def test_none_ends_the_inheritance_only_inside():
    clock = ManualClock()
    with deadline(2.0, clock=clock):
        with deadline(None):
            assert remaining() is None
            with deadline(7.0, clock=clock):
                assert remaining() == 7.0
        assert remaining() == 2.0


def test_a_block_that_outlives_the_deadline_around_it_breaks_nothing():
    """An async generator that is not read to its end leaves its blocks late."""

    async def main(loop):
        async def values():
            with deadline(None):
                yield 1

        given = values()
        with deadline(1.0, clock=loop):
            assert await anext(given) == 1
        await given.aclose()
        await asyncio.sleep(5)

    run_virtual(main)


def test_a_context_without_deadline_serves_more_than_one_caller():
    clock = ManualClock()
    word = contextvars.ContextVar("word", default="")
    with deadline(1.0, clock=clock):
        word.set("kept")
        context = without_deadline()
        assert context.run(remaining) is None
        assert context.run(word.get) == "kept"
        assert remaining() == 1.0
