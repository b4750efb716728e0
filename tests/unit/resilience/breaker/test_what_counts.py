"""What a circuit breaker counts as a failure, as a success, and as nothing."""

import asyncio
import threading

import pytest

from sengol_api.resilience import CircuitBreaker, Pipeline, RateLimited
from sengol_api.resilience.testing import Script, hang, run_virtual
from sengol_api.resilience.transient import by_attribute
from support.toolkit.breakers import AnswerError, Upstream
from support.toolkit.tasks import started


def test_an_answer_that_blames_the_request_is_a_success():
    options = {"failure_on": by_attribute("status_code", {408, 429, *range(500, 600)}, ConnectionError)}
    upstream = Upstream(failure_threshold=2, **options)
    upstream.fail(50, AnswerError(404))
    assert upstream.state == "CLOSED"
    assert upstream.snapshot.success_count == 50
    upstream.fail(1, AnswerError(429))
    upstream.fail(1, AnswerError(503))
    assert upstream.state == "OPEN"


def test_an_answer_that_blames_the_request_is_a_success_of_a_probe():
    upstream = Upstream(failure_threshold=1, success_threshold=1, failure_on=ConnectionError)
    upstream.fail()
    upstream.clock.advance(60)
    upstream.fail(1, AnswerError(404))
    assert upstream.state == "CLOSED"


def test_results_may_count_as_failures():
    upstream = Upstream(failure_threshold=2, failure_on_result=lambda result: result == "sorry")
    upstream.call("well")
    upstream.call("sorry")
    upstream.call("sorry")
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].error is None


@pytest.mark.parametrize("mode", [{}, {"trip_on": "consecutive"}, {"window_calls": 10}, {"slow_call": 1.0}])
def test_rejections_from_further_inside_and_cancellations_count_as_nothing(mode):
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=2, **mode), clock=loop)
        for _ in range(10):
            with pytest.raises(RateLimited):
                await pipeline.call(Script(RateLimited("inner", "rate_limit")))
            task = await started(pipeline.call(Script(hang)))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        with pytest.raises(RateLimited):
            pipeline.call_sync(Script(RateLimited("inner", "rate_limit")).sync)
        with pytest.raises(KeyboardInterrupt):
            pipeline.call_sync(Script(KeyboardInterrupt).sync)
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.failure_count, snapshot.success_count) == ("CLOSED", 0, 0)

    run_virtual(main)


def test_predicates_that_raise_are_reported_and_take_the_careful_side(monkeypatch):
    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)

    def broken(outcome):
        raise KeyError(outcome)

    upstream = Upstream(failure_threshold=2, success_threshold=1, max_probes=1, failure_on=broken, failure_on_result=broken)
    upstream.fail(2)
    assert upstream.state == "OPEN"
    upstream.clock.advance(60)
    upstream.succeed()
    assert upstream.state == "CLOSED"
    assert [each.exc_type for each in told] == [KeyError] * 3


def test_a_predicate_that_is_interrupted_gives_the_probe_slot_back():
    interrupt = False

    def judge(error):
        if interrupt:
            raise KeyboardInterrupt
        return True

    upstream = Upstream(failure_threshold=1, success_threshold=1, max_probes=1, failure_on=judge)
    upstream.fail()
    upstream.clock.advance(60)
    interrupt = True
    with pytest.raises(KeyboardInterrupt):
        upstream.call(ConnectionError)
    assert (upstream.state, upstream.snapshot.probes) == ("HALF_OPEN", 0)
    upstream.succeed()
    assert upstream.state == "CLOSED"


def test_an_error_whose_retry_after_raises_opens_it_like_any_other(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)

    class HeadlessError(Exception):
        @property
        def retry_after(self):
            raise KeyError("no such header")

    upstream = Upstream(failure_threshold=1)
    upstream.fail(1, HeadlessError)
    assert upstream.state == "OPEN"
    assert upstream.snapshot.retry_after == 60


def test_an_error_whose_attributes_use_the_breaker_does_not_stop_it():
    class CuriousError(Exception):
        @property
        def retry_after(self):
            return 70 if upstream.state == "CLOSED" and upstream.snapshot.state == "CLOSED" else None

    upstream = Upstream(failure_threshold=1)
    failing = threading.Thread(target=upstream.fail, args=(1, CuriousError), daemon=True)
    failing.start()
    failing.join(120)
    assert not failing.is_alive()
    assert upstream.snapshot.retry_after == 70
