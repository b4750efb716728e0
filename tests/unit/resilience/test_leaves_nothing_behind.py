"""An error goes when its last holder goes, with the frames of its traceback and all that is in them.

One that a frame of its own traceback still holds would wait for the collector: a thousand rejections would be a thousand frames,
with the arguments of a thousand calls.
"""

import asyncio
import gc
import weakref

import pytest

from sengol_api.resilience import (
    AdaptiveLimit,
    AdaptiveTimeout,
    Admission,
    Bulkhead,
    Cache,
    Chaos,
    CircuitBreaker,
    CircuitState,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    Timeout,
    deadline,
)
from sengol_api.resilience.testing import ManualClock, Script, hang, run_virtual


class WatchedError(Exception):
    """Of the work. (Built-in exceptions take no weak reference.)"""


def fail():
    raise WatchedError


async def fail_later():
    await asyncio.sleep(0.01)
    raise WatchedError


@pytest.fixture(autouse=True)
def no_collections():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def error_of(call):
    try:
        call()
    except Exception as error:  # noqa: BLE001 - looked at by the test
        return type(error).__name__, weakref.ref(error)
    return "none", None


async def error_of_later(call):
    try:
        await call()
    except Exception as error:  # noqa: BLE001 - looked at by the test
        return type(error).__name__, weakref.ref(error)
    return "none", None


def full(pipeline):
    """The one place is taken."""
    asyncio.ensure_future(pipeline.call(Script(hang)))  # noqa: RUF006 - cancelled with its loop


def isolated(pipeline):
    pipeline["circuit_breaker"].isolate()


def opened(pipeline):
    pipeline["circuit_breaker"].open_for(60.0)


def probing(pipeline):
    """The breaker is half-open, and its one probe is out."""
    pipeline["circuit_breaker"].core.force(CircuitState.HALF_OPEN, "for the test")
    full(pipeline)


def nothing(pipeline):
    pass


REJECTIONS = {
    "an open breaker": (CircuitBreaker(), opened, "CircuitOpen"),
    "an isolated breaker": (CircuitBreaker(), isolated, "CircuitOpen"),
    "a breaker that probes": (CircuitBreaker(max_probes=1), probing, "CircuitOpen"),
    "a full bulkhead": (Bulkhead(max_concurrent=1, max_queue=0), full, "BulkheadFull"),
    "a bulkhead without a place in time": (Bulkhead(max_concurrent=1, queue_timeout=1.0), full, "BulkheadFull"),
    "a limit": (AdaptiveLimit(initial=1, min_limit=1, max_limit=1), full, "Overloaded"),
    "a full admission": (Admission(max_concurrent=1, max_queue=0), full, "Overloaded"),
    "an admission without a place in time": (Admission(max_concurrent=1, interval=1.0), full, "Overloaded"),
    "a rate": (RateLimit(rate=0.1, burst=1), full, "RateLimited"),
    "a timeout": (Timeout(1.0), nothing, "TimedOut"),
    "an adaptive timeout": (AdaptiveTimeout(initial=1.0), nothing, "TimedOut"),
}


@pytest.mark.parametrize("listened", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize(("policy", "prepare", "expected"), REJECTIONS.values(), ids=list(REJECTIONS))
def test_what_a_policy_raises_leaves_with_its_caller(policy, prepare, expected, listened):
    async def main(loop):
        pipeline = Pipeline("upstream", policy, clock=loop)
        if listened:
            pipeline.subscribe(lambda event: None)
        prepare(pipeline)
        await asyncio.sleep(0.01)
        kind, error = await error_of_later(lambda: pipeline.call(Script(hang)))
        assert kind == expected
        assert error() is None

    run_virtual(main)


PLAIN = ["an open breaker", "an isolated breaker", "a rate"]


@pytest.mark.parametrize("case", PLAIN)
def test_what_a_policy_raises_around_a_plain_function_leaves_with_its_caller(case):
    policy, prepare, expected = REJECTIONS[case]
    pipeline = Pipeline("upstream", policy, clock=ManualClock())
    if prepare is full:
        pipeline.call_sync(int)
    else:
        prepare(pipeline)
    kind, error = error_of(lambda: pipeline.call_sync(int))
    assert kind == expected
    assert error() is None


def test_a_call_that_is_too_late_to_start_leaves_nothing_behind():
    clock = ManualClock()

    def call():
        with deadline(0.0, clock=clock):
            Pipeline("upstream", Timeout(1.0), clock=clock).call_sync(int)

    kind, error = error_of(call)
    assert kind == "DeadlineExceeded"
    assert error() is None


AROUND = [
    Retry(max_retries=0),
    Retry(max_retries=2, retry_on=WatchedError),
    CircuitBreaker(),
    Bulkhead(),
    Timeout(5.0),
    AdaptiveTimeout(),
    RateLimit(rate=100),
    AdaptiveLimit(),
    Admission(),
    Cache(key=lambda: "key"),
    Cache(key=lambda: "key", stale_if_error=60.0),
    Hedge(idempotent=True, delay=1.0),
    Hedge(idempotent=True, delay=0.001, budget=1.0),
    Fallback({"nothing": fail}),
    Chaos(),
]


@pytest.mark.parametrize("policy", AROUND, ids=lambda policy: policy.kind)
def test_an_error_of_the_work_leaves_with_its_caller(policy):
    async def main(loop):
        pipeline = Pipeline("upstream", policy, clock=loop)
        kind, error = await error_of_later(lambda: pipeline.call(fail_later))
        assert kind == "WatchedError"
        await asyncio.sleep(1.0)  # a loser of a race ends
        assert error() is None

    run_virtual(main)


@pytest.mark.parametrize("policy", [each for each in AROUND if each.kind != "hedge"], ids=lambda policy: policy.kind)
def test_an_error_of_a_plain_function_leaves_with_its_caller(policy):
    pipeline = Pipeline("upstream", policy, clock=ManualClock())
    kind, error = error_of(lambda: pipeline.call_sync(fail))
    assert kind == "WatchedError"
    assert error() is None
