"""Time limits that follow the latency, before servers that become slow: they cut, and they widen."""

import uuid
from urllib.parse import urlsplit

import pytest

from sengol_api.adapters.dvecdb import DvecdbClient
from sengol_api.adapters.openai import LateAnswerError, OpenAIClient, OpenAIOptions
from sengol_api.resilience import AdaptiveTimeout, CircuitBreaker
from sengol_api.review.errors import AppError
from support.dvecdb.clients import exact, ids_of, options_for, records_of, unit
from support.openai_clients import question
from support.openai_faults import OpenAIFaults
from support.tcp_proxy import tcp_proxy

pytest_plugins = ["support.fixtures"]

ROWS = 60
QUERIES = unit(30, seed=99)
SLOW = 0.6
"""Seconds that an answer takes when the server is slow. The limit after fast answers is far below it."""
FOLLOWING = AdaptiveTimeout(min_timeout=0.05, min_samples=10, window=20.0)
PATIENT = CircuitBreaker(failure_threshold=100)


@pytest.fixture
def proxy(dvecdb):
    """Before the fake, then before the real server."""
    with tcp_proxy(dvecdb.port) as proxy:
        yield proxy


async def until_learnt(limit, ask, most=500):
    """Ask until the limit is one of fast answers."""
    for number in range(most):
        await ask(number)
        if limit.snapshot().limit < SLOW:
            return
    pytest.fail(f"after {most} fast answers the limit is {limit.snapshot()}")


async def until_answered(ask, most=20):
    """How many calls were cut before one was answered."""
    for cut in range(most):
        try:
            await ask(cut)
        except (AppError, LateAnswerError):
            continue
        return cut
    pytest.fail(f"none of {most} calls was answered: the limit does not widen")


async def test_a_search_in_a_d_vecdb_that_has_become_slow_is_cut_and_then_waited_for(proxy):
    options = options_for(
        proxy, collection=f"c{uuid.uuid4().hex[:20]}", timeout=5.0, max_retries=0, breaker=PATIENT, adaptive=FOLLOWING
    )
    async with DvecdbClient(options, records=records_of(ROWS), cache=None) as client:
        assert await client.ready(30)
        limit = client._lines.reads["adaptive_timeout"]
        assert limit.snapshot().limit == options.timeout
        await until_learnt(limit, lambda number: client.search_by_vector(QUERIES[number % 12], 5))
        proxy.delay(SLOW, "to_client")
        assert await until_answered(lambda number: client.search_by_vector(QUERIES[12 + number % 18], 5)) >= 1
        assert limit.snapshot().timed_out >= 1
        proxy.pass_on()
        found = await client.search_by_vector(QUERIES[0], 5)
        assert [hit.id for hit in found] == exact(unit(ROWS), QUERIES[0], ids_of(ROWS), 5)


async def test_a_chat_with_a_model_that_has_become_slow_is_cut_and_then_waited_for():
    server = OpenAIFaults(seed=7)
    with tcp_proxy(urlsplit(server.url).port or 0) as proxy:
        options = OpenAIOptions(
            api_key="k",
            base_url=f"http://127.0.0.1:{proxy.port}/v1",
            timeout=5.0,
            max_retries=0,
            breaker=PATIENT,
            adaptive=FOLLOWING,
        )
        async with OpenAIClient(options, cache=None) as client:
            limit = client.registry["openai.chat.primary"]["adaptive_timeout"]
            await until_learnt(limit, lambda number: client.chat_completion(question(number)))
            proxy.delay(SLOW, "to_client")
            assert await until_answered(lambda number: client.chat_completion(question(1000 + number))) >= 1
            assert limit.snapshot().timed_out >= 1
    server.close()
