"""How long a retry waits, for itself, for a server, and after a rejection."""

from random import Random

import pytest

from sengol_api.resilience import (
    CircuitBreaker,
    CircuitOpen,
    Pipeline,
    RateLimited,
    Rejected,
    Retry,
    deadline,
)
from sengol_api.resilience.budget import RetryBudget
from sengol_api.resilience.history import attempts_of
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.toolkit.retries import asking, upstream

# Waits that a server asks for


def test_a_server_is_never_called_earlier_than_it_said():
    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(budget=None), clock=clock, random=Random(7))
    for _ in range(200):
        pipeline.call_sync(Script(asking(3.0), "answer").sync)
    assert min(clock.slept) >= 3.0
    assert max(clock.slept) <= 3.3
    assert len(set(clock.slept)) > 100  # nor do all come at the moment that it named


def test_a_wait_shorter_than_our_own_delay_does_not_shorten_that():
    clock = ManualClock()
    upstream(clock, initial_delay=5.0).call_sync(Script(asking(3.0), "answer").sync)
    assert clock.slept == [5.0]


def test_a_longer_wait_than_allowed_ends_the_call_at_once_with_its_own_error():
    clock = ManualClock()
    pipeline = upstream(clock, max_wait=20.0)
    error = asking(21.0)
    with pytest.raises(ConnectionError) as raised:
        pipeline.call_sync(Script(error).sync)
    assert raised.value is error
    assert clock.slept == []
    assert pipeline.snapshot()["retry"].gave_up["wait"] == 1
    assert pipeline.call_sync(Script(asking(20.0), "answer").sync) == "answer"


def test_a_wait_that_does_not_fit_the_deadline_ends_the_call_at_once_with_its_own_error():
    async def main(loop):
        pipeline = upstream(loop)
        began = loop.now()
        with deadline(5.0, clock=loop), pytest.raises(ConnectionError, match="busy"):
            await pipeline.call(Script(asking(6.0)))
        assert loop.now() == began
        assert pipeline.snapshot()["retry"].gave_up["deadline"] == 1

    run_virtual(main)


def test_nothing_sleeps_past_the_deadline():
    async def main(loop):
        pipeline = upstream(loop, max_retries=100, max_delay=1.0)
        work, began = Script(ConnectionError), loop.now()
        with deadline(3.5, clock=loop), pytest.raises(ConnectionError):
            await pipeline.call(work)
        assert len(work.calls) == 4
        assert loop.now() - began == pytest.approx(3.0)

    run_virtual(main)


def test_the_deadline_of_a_plain_function_holds_as_well():
    clock = ManualClock()
    with deadline(2.5, clock=clock), pytest.raises(ConnectionError):
        upstream(clock).call_sync(Script(ConnectionError).sync)
    assert clock.slept == [1.0]


def test_an_attempt_that_would_start_at_the_deadline_is_not_waited_for():
    clock = ManualClock()
    with deadline(1.0, clock=clock), pytest.raises(ConnectionError):
        upstream(clock).call_sync(Script(ConnectionError).sync)
    assert clock.slept == []


def test_decorrelated_delays_grow_from_the_one_before():
    class Highest(Random):
        def uniform(self, a, b):
            return b

    clock = ManualClock()
    pipeline = Pipeline("upstream", Retry(jitter="decorrelated", max_delay=20.0), clock=clock, random=Highest())
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    assert clock.slept == [3.0, 9.0, 20.0]


# Rejections


def calling(kind, **options):
    """How to call a script through a retry: as a plain function, or as a coroutine function."""

    def call(work):
        if kind == "sync":
            return upstream(ManualClock(), **options).call_sync(work.sync)
        return run_virtual(lambda loop: upstream(loop, **options).call(work))

    return call


@pytest.mark.parametrize(
    ("rejection", "calls"),
    [
        (RateLimited("inner", "rate_limit", 2.0), 2),
        (RateLimited("inner", "rate_limit", 0.0), 2),
        (RateLimited("inner", "rate_limit", 10.0), 2),
        (RateLimited("inner", "rate_limit", 10.5), 1),
        (RateLimited("inner", "rate_limit", None), 1),
        (CircuitOpen("inner", "circuit_breaker", 60.0), 1),
        (Rejected("inner", "some"), 1),
    ],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_rejection_is_waited_out_only_if_it_says_for_how_long_and_that_is_short(rejection, calls, kind):
    work = Script(rejection, "answer")
    call = calling(kind, retry_on=Exception)
    if calls == 1:
        with pytest.raises(Rejected) as raised:
            call(work)
        assert raised.value is rejection
    else:
        assert call(work) == "answer"
    assert len(work.calls) == calls


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("wait", [None, 60.0])
def test_a_rejection_that_ends_a_call_in_the_middle_comes_out_with_the_attempts_before_it(kind, wait):
    rejection = CircuitOpen("inner", "circuit_breaker", wait)
    with pytest.raises(CircuitOpen) as raised:
        calling(kind)(Script(ConnectionError, rejection, "never"))
    assert raised.value is rejection
    assert [type(each.error) for each in attempts_of(rejection)] == [ConnectionError, CircuitOpen]


def test_a_rejection_costs_no_budget():
    clock = ManualClock()
    pipeline = upstream(clock, budget=RetryBudget(ratio=0.0, per_second=0.0))
    assert pipeline.call_sync(Script(RateLimited("inner", "rate_limit", 1.0), "answer").sync) == "answer"
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)


def test_a_breaker_that_opens_between_attempts_ends_the_call():
    async def main(loop):
        pipeline = upstream(loop, CircuitBreaker(failure_threshold=2))
        work = Script(ConnectionError)
        with pytest.raises(CircuitOpen) as raised:
            await pipeline.call(work)
        assert len(work.calls) == 2
        assert [type(each.error) for each in attempts_of(raised.value)] == [ConnectionError, ConnectionError, CircuitOpen]

    run_virtual(main)
