"""A pipeline as a decorator, of functions of every kind."""

import asyncio
import functools
import inspect

import pytest

from sengol_api.resilience import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpen,
    Pipeline,
    TimedOut,
    Timeout,
)
from sengol_api.resilience.testing import run_virtual


class Client:
    def __init__(self, pipeline):
        self.query = pipeline(self.plain)

    async def plain(self, value):
        return value

    async def __call__(self, value):
        return value


class PlainClient:
    def __call__(self, value):
        return value


class Rows:
    def __call__(self):
        yield 1


class AsyncRows:
    async def __call__(self):
        yield 1


def test_a_coroutine_function_stays_one_and_is_awaited_under_the_policies():
    async def main(loop):
        pipeline = Pipeline("search", CircuitBreaker(failure_threshold=2), Timeout(1.0), clock=loop)

        @pipeline
        async def query(vector: str, *, k: int = 3) -> str:
            """Find."""
            await asyncio.sleep(5)
            return f"{vector}{k}"

        assert inspect.iscoroutinefunction(query)
        assert (query.__name__, query.__doc__) == ("query", "Find.")
        assert list(inspect.signature(query).parameters) == ["vector", "k"]
        for _ in range(2):
            with pytest.raises(TimedOut):
                await query("v", k=1)
        with pytest.raises(CircuitOpen):
            await query("v", k=1)

    run_virtual(main)


def test_a_plain_function_stays_one():
    pipeline = Pipeline("search", CircuitBreaker(failure_threshold=1))

    @pipeline
    def query(value):
        """Find."""
        return 1 / value

    assert not inspect.iscoroutinefunction(query)
    assert (query(2), query.__name__, query.__doc__) == (0.5, "query", "Find.")
    with pytest.raises(ZeroDivisionError):
        query(0)
    with pytest.raises(CircuitOpen):
        query(2)


def test_methods_partials_and_objects_that_can_be_called_are_awaited_if_they_have_to_be():
    async def main(loop):
        pipeline = Pipeline("search", Bulkhead(max_concurrent=1), clock=loop)
        client = Client(pipeline)
        for function in (
            client.query,
            pipeline(client),
            pipeline(functools.partial(client.plain)),
            pipeline(functools.partial(functools.partial(client))),
        ):
            assert inspect.iscoroutinefunction(function)
            assert await function("value") == "value"
            assert await asyncio.create_task(function("value")) == "value"
        for function in (pipeline(PlainClient()), pipeline(functools.partial(PlainClient())), pipeline(str), pipeline(len)):
            assert not inspect.iscoroutinefunction(function)
        assert pipeline(PlainClient())("value") == "value"
        assert pipeline(str)(5) == "5"
        assert pipeline(len)("four") == 4
        assert isinstance(pipeline(Client)(pipeline), Client)  # a class is called to build an object
        assert pipeline.snapshot()["bulkhead"].in_flight == 0

    run_virtual(main)


def test_methods_of_every_kind_are_decorated_in_a_class():
    pipeline = Pipeline("search", Timeout(1.0))

    class Store:
        @pipeline
        async def get(self, key):
            return self, key

        @pipeline
        @classmethod
        async def make(cls, key):
            return cls, key

        @pipeline
        @staticmethod
        def hash(key):
            return key

        @classmethod
        @pipeline
        def make_plain(cls, key):
            return cls, key

    async def main():
        store = Store()
        assert await store.get(1) == (store, 1)
        assert await Store.make(2) == (Store, 2)
        assert Store.hash(3) == store.hash(3) == 3
        assert store.make_plain(4) == (Store, 4)

    asyncio.run(main())


def rows():
    yield 1


async def async_rows():
    yield 1


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (rows, "rows"),
        (async_rows, "async_rows"),
        (functools.partial(rows), r"functools\.partial"),
        (Rows(), "Rows object"),
        (AsyncRows(), "Rows object"),
        (staticmethod(rows), "rows"),
    ],
)
def test_a_generator_is_refused_since_its_work_is_done_after_the_call(function, name):
    with pytest.raises(TypeError, match=f"{name}.* is a generator function: its work would be done outside of the policies"):
        Pipeline("search")(function)


@pytest.mark.parametrize("thing", [None, 5, "query"])
def test_what_cannot_be_called_cannot_be_decorated(thing):
    with pytest.raises(TypeError, match="is no function"):
        Pipeline("search")(thing)
