"""What is compared: this toolkit, and what one would stack instead today. Built in a running loop, as some of them must be."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiobreaker
import hyx.bulkhead.api
import hyx.circuitbreaker.api
import hyx.retry.api
import hyx.timeout.api
import purgatory
import pybreaker
import stamina
import tenacity

from sengol_api.resilience import Bulkhead, Cache, CircuitBreaker, Pipeline, Retry, Timeout

Work = Callable[[], Awaitable[Any]]
OURS = "sengol: Retry, CircuitBreaker, Bulkhead, Timeout"
TENACITY = "tenacity, aiobreaker, Semaphore, asyncio.timeout"
HYX = "hyx: retry, breaker, bulkhead, timeout"
STAMINA = "stamina, purgatory, Semaphore, asyncio.timeout"
BARE = "asyncio.timeout alone"
NOTHING = "the work alone"


def ours() -> Pipeline:
    """The four policies of the happy path, with the thresholds that the others get."""
    return Pipeline("bench", Retry(), CircuitBreaker(), Bulkhead(), Timeout(30.0))


def stacks(work: Work) -> dict[str, Work]:
    """Retry, circuit breaker, bulkhead and time limit around ``work``, by each in turn."""
    pipeline = ours()
    semaphore, breaker = asyncio.Semaphore(64), aiobreaker.CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=60))
    tries = tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_random_exponential(1, 10), reraise=True)
    breakers = purgatory.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=60)
    again = stamina.retry(on=ConnectionError, attempts=4, wait_initial=1.0, wait_max=10.0)

    async def in_time() -> Any:
        async with semaphore, asyncio.timeout(30.0):
            return await work()

    async def bare() -> Any:
        async with asyncio.timeout(30.0):
            return await work()

    hyx_in_time = hyx.timeout.api.timeout(30.0)(work)
    hyx_bounded = hyx.bulkhead.api.bulkhead(64, 64 + 256)(hyx_in_time)
    hyx_broken = hyx.circuitbreaker.api.consecutive_breaker(failure_threshold=5, recovery_time_secs=60)(hyx_bounded)
    return {
        OURS: functools.partial(pipeline.call, work),
        TENACITY: tries(breaker(in_time)),
        HYX: hyx.retry.api.retry(on=ConnectionError, attempts=4, backoff=1.0)(hyx_broken),
        STAMINA: again(breakers("bench")(in_time)),
        BARE: bare,
        NOTHING: work,
    }


def singles(work: Work) -> dict[str, dict[str, Work]]:
    """Each policy alone, with what others have for the same."""
    semaphore = asyncio.Semaphore(64)

    async def in_place() -> Any:
        async with semaphore:
            return await work()

    async def bare() -> Any:
        async with asyncio.timeout(30.0):
            return await work()

    def alone(*policies: Any) -> Work:
        return functools.partial(Pipeline("bench", *policies).call, work)

    return {
        "retry": {
            "sengol": alone(Retry()),
            "tenacity": tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_random_exponential(1, 10))(work),
            "stamina": stamina.retry(on=ConnectionError, attempts=4)(work),
            "hyx": hyx.retry.api.retry(on=ConnectionError, attempts=4)(work),
        },
        "circuit breaker": {
            "sengol": alone(CircuitBreaker()),
            "sengol, by share of failures": alone(CircuitBreaker(trip_on="rate", slow_call=1.0)),
            "aiobreaker": aiobreaker.CircuitBreaker(fail_max=5)(work),
            "purgatory": purgatory.AsyncCircuitBreakerFactory()("bench")(work),
            "hyx": hyx.circuitbreaker.api.consecutive_breaker()(work),
        },
        "bulkhead": {
            "sengol": alone(Bulkhead()),
            "asyncio.Semaphore": in_place,
            "hyx": hyx.bulkhead.api.bulkhead(64, 320)(work),
        },
        "timeout": {
            "sengol": alone(Timeout(30.0)),
            "asyncio.timeout": bare,
            "hyx": hyx.timeout.api.timeout(30.0)(work),
        },
    }


async def rejections() -> dict[str, Work]:
    """A call against an open circuit breaker, its error caught; and an error that is raised and caught, without any breaker."""

    async def fails() -> None:
        raise ConnectionError("refused")

    def caught(call: Work) -> Work:
        async def run() -> None:
            try:
                await call()
            except Exception:  # noqa: BLE001 - what each of them raises
                return

        return run

    pipeline = Pipeline("bench", CircuitBreaker())
    pipeline["circuit_breaker"].open_for(600.0)
    whole = ours()
    whole["circuit_breaker"].open_for(600.0)
    broken = {
        "aiobreaker": aiobreaker.CircuitBreaker(fail_max=1, timeout_duration=timedelta(seconds=600))(fails),
        "purgatory": purgatory.AsyncCircuitBreakerFactory(default_threshold=1, default_ttl=600)("bench")(fails),
        "hyx": hyx.circuitbreaker.api.consecutive_breaker(failure_threshold=1, recovery_time_secs=600)(fails),
    }
    calls = {name: caught(call) for name, call in broken.items()}
    for call in calls.values():
        await call()
        await call()
    return {
        "sengol": caught(functools.partial(pipeline.call, fails)),
        "sengol, whole pipeline": caught(functools.partial(whole.call, fails)),
        **calls,
        "raise and catch, no breaker": caught(fails),
    }


async def look_up(text: str) -> str:
    """What a cache keeps as it is. A function of a module, as nearly all are: a closure takes a longer way to its key."""
    return text


async def record(text: str) -> dict[str, object]:
    """What a cache has to copy."""
    return {"name": text, "number": 1, "tags": ["one", "two"]}


async def hits() -> dict[str, Work]:
    """Calls that a cache answers: with a key of the caller's or of the arguments, of a value as it is or one that is copied."""
    calls: dict[str, Work] = {
        "sengol: Cache, key of the caller's": functools.partial(Pipeline("bench", Cache(key=str)).call, look_up, "a text"),
        "sengol: Cache, key of the arguments": functools.partial(Pipeline("bench", Cache()).call, look_up, "a text"),
        "sengol: Cache before the whole pipeline": functools.partial(
            Pipeline("bench", Cache(), Retry(), CircuitBreaker(), Bulkhead(), Timeout(30.0)).call, look_up, "a text"
        ),
        "sengol: Cache, a dict, copied": functools.partial(Pipeline("bench", Cache()).call, record, "a text"),
        NOTHING: functools.partial(look_up, "a text"),
    }
    for call in calls.values():
        await call()
    return calls


def plain() -> dict[str, Callable[[], Any]]:
    """Plain functions: our pipeline, tenacity around pybreaker, and pybreaker alone."""

    def work() -> None:
        return None

    pipeline = ours()
    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=60)
    tries = tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_random_exponential(1, 10), reraise=True)
    return {
        "sengol: Retry, CircuitBreaker, Bulkhead, Timeout": functools.partial(pipeline.call_sync, work),
        "tenacity, pybreaker": tries(breaker(work)),
        "pybreaker": breaker(work),
        NOTHING: work,
    }
