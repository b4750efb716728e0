"""What may be called through a pipeline, and what is told when it may not."""

import asyncio
import functools
import gc
import inspect
import warnings

import pytest

from sengol_api.resilience import Bulkhead, Pipeline, Retry, Timeout
from sengol_api.resilience.testing import Script, run_virtual
from support.toolkit.attempts import limited


async def answer(value="well"):
    await asyncio.sleep(0)
    return value


class Client:
    async def query(self, value):
        return await answer(value)

    async def __call__(self, value):
        return await answer(value)

    @classmethod
    async def make(cls, value):
        return await answer(value)


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0.5).__await__()
        return self.value


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Retry(), Bulkhead()), (Timeout(9.0), Bulkhead(), Timeout(1.0))])
@pytest.mark.parametrize(
    "function",
    [
        answer,
        Client().query,
        Client(),
        Client.make,
        functools.partial(answer),
        functools.partial(Client()),
        Later,
        lambda value: asyncio.ensure_future(answer(value)),
    ],
)
def test_whatever_gives_something_to_await_is_awaited_under_the_policies(function, policies):
    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        assert await pipeline.call(function, "value") == "value"
        task = asyncio.create_task(pipeline.call(function, "value"))
        assert await task == "value"

    run_virtual(main)


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Bulkhead(),), (Timeout(1.0), Bulkhead())])
def test_a_call_is_a_coroutine_whatever_the_policies(policies):
    """So it can be a task, is awaited once, and says so when it never is."""

    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        call = pipeline.call(answer)
        assert inspect.iscoroutine(call)
        assert await call == "well"
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await call
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pipeline.call(answer))
        assert task.result() == "well"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pipeline.call(answer)
            gc.collect()
        assert ["never awaited" in str(each.message) for each in caught] == [True]

    run_virtual(main)


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Bulkhead(), Timeout(2.0)), (Timeout(1.0), Bulkhead())])
def test_a_plain_function_is_refused_with_what_to_do(policies):
    def plain():
        return 42

    async def values():
        yield 1

    async def main(loop):
        pipeline = Pipeline("search", *policies, clock=loop)
        told = r"plain gave a value of type int, which cannot be awaited: call_sync\(\) is for plain functions"
        with pytest.raises(TypeError, match=told):
            await pipeline.call(plain)
        with pytest.raises(TypeError, match=r"values gave a value of type async_generator, which cannot be awaited"):
            await pipeline.call(values)
        with pytest.raises(TypeError, match=r"functools.partial\(.*\) gave a value of type int"):
            await pipeline.call(functools.partial(plain))

    run_virtual(main)


def test_a_coroutine_function_in_a_plain_call_is_refused_and_its_coroutine_closed():
    with pytest.raises(TypeError, match=r"answer is a coroutine function: await call\(\) instead of call_sync\(\)"):
        Pipeline("search", Timeout(1.0)).call_sync(answer)
    gc.collect()  # no coroutine that was never awaited: warnings are errors


def test_arguments_reach_the_work_as_they_are():
    async def main(loop):
        pipeline = limited(loop)
        upstream = Script("well")
        await pipeline.call(upstream, 1, "two", function=3, self=4, args=5, kwargs=6)
        assert upstream.calls == [((1, "two"), {"function": 3, "self": 4, "args": 5, "kwargs": 6})]

    run_virtual(main)


def test_work_may_raise_a_stop_iteration_without_ending_the_call_in_silence():
    def stops():
        raise StopIteration("no more")

    async def main(loop):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await limited(loop).call(stops)

    run_virtual(main)


def test_work_that_ends_by_swallowing_an_error_thrown_in_gives_its_result():
    async def main(loop):
        async def swallows():
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                return "swallowed"

        task = asyncio.create_task(Pipeline("search", clock=loop).call(swallows))
        await asyncio.sleep(1)
        task.cancel()
        assert await task == "swallowed"

    run_virtual(main)
