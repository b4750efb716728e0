"""Where a breaker changes its mind: the values and moments at which one more, or one less, would be another behaviour."""

import asyncio

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline
from sengol_api.resilience.breaker.sharing import InMemoryStore, SharedBreakers
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import ManualClock, Script, run_virtual
from support.toolkit.breakers import Upstream


class RequestError(Exception):
    """Blames the request, so the service is well."""

    counts_as_failure = False
    retry_after = 300.0


class Meddling(ManualClock):
    """A clock that lets something happen when it is read: what another thread does at that very moment."""

    def __init__(self):
        super().__init__()
        self.meddle = None

    def now(self):
        if self.meddle is not None:
            meddle, self.meddle = self.meddle, None
            meddle()
        return super().now()


@pytest.fixture(params=["sync", "async"])
def breaker(request):
    return lambda clock=None, **options: Either(request.param, clock, **options)


class Either(Upstream):
    """The same around calls of either kind."""

    def __init__(self, kind, clock, **options):
        super().__init__(clock, **options)
        self.kind = kind

    def call(self, outcome="well", took=0.0, meanwhile=None):
        def work():
            self.clock.advance(took)
            if meanwhile is not None:
                meanwhile()
            return Script(outcome).sync()

        async def work_later():
            return work()

        async def call():
            return await self.pipeline.call(work_later)

        return self.pipeline.call_sync(work) if self.kind == "sync" else asyncio.run(call())


# When it opens


def test_exactly_the_failure_rate_opens_it(breaker):
    upstream = breaker(trip_on="rate", failure_rate=0.5, minimum_calls=4)
    upstream.succeed(2)
    upstream.fail(1)
    assert upstream.state == "CLOSED"
    upstream.fail(1)
    assert upstream.state == "OPEN"


def test_exactly_the_slow_rate_opens_it_and_less_does_not(breaker):
    upstream = breaker(slow_call=1.0, slow_rate=0.5, minimum_calls=4)
    upstream.succeed(2)
    upstream.succeed(1, took=2.0)
    upstream.succeed(1)
    assert upstream.state == "CLOSED"
    upstream.succeed(1, took=2.0)
    assert upstream.state == "CLOSED"
    upstream.succeed(1, took=2.0)
    assert upstream.state == "OPEN"


def test_quick_errors_that_blame_the_request_are_not_slow(breaker):
    upstream = breaker(slow_call=1.0, minimum_calls=2)
    upstream.fail(5, RequestError)
    assert upstream.state == "CLOSED"


def test_a_success_ends_the_failures_in_a_row(breaker):
    upstream = breaker(trip_on="consecutive", failure_threshold=3)
    for _ in range(3):
        upstream.fail(2)
        upstream.succeed(1)
    assert upstream.state == "CLOSED"


# How long it stays open


def test_a_reset_timeout_of_less_than_a_second_is_kept(breaker):
    upstream = breaker(failure_threshold=1, reset_timeout=0.5)
    upstream.fail(1)
    assert upstream.rejected().retry_after == 0.5
    upstream.clock.advance(0.5)
    upstream.succeed(1)


def test_the_reset_timeout_may_be_as_long_as_the_longest(breaker):
    upstream = breaker(failure_threshold=1, reset_timeout=300.0, max_reset_timeout=300.0)
    upstream.fail(1)
    assert upstream.snapshot.retry_after == 300.0


def test_only_a_failure_says_how_long_to_stay_open(breaker):
    upstream = breaker(slow_call=1.0, minimum_calls=2)
    upstream.fail(2, RequestError, took=2.0)
    assert upstream.state == "OPEN"
    assert upstream.snapshot.retry_after == 60.0


def test_a_result_that_opens_it_asks_for_no_time_of_its_own(breaker):
    upstream = breaker(failure_threshold=1, failure_on_result=lambda result: result == "bad")
    assert upstream.call("bad") == "bad"
    assert upstream.snapshot.retry_after == 60.0


# Half-open


def test_a_probe_that_succeeded_makes_room_for_the_next(breaker):
    upstream = breaker(failure_threshold=1, success_threshold=3, max_probes=1)
    upstream.fail(1)
    upstream.clock.advance(60)
    upstream.succeed(1)
    assert upstream.state == "HALF_OPEN"
    assert upstream.snapshot.probes == 0
    upstream.succeed(2)
    assert upstream.state == "CLOSED"


def test_successes_of_earlier_probing_do_not_count(breaker):
    upstream = breaker(failure_threshold=1, success_threshold=2)
    upstream.fail(1)
    upstream.clock.advance(60)
    upstream.succeed(1)
    upstream.fail(1)
    upstream.clock.advance(60)
    upstream.succeed(1)
    assert upstream.state == "HALF_OPEN"
    assert upstream.snapshot.success_count == 1


def test_a_failed_probe_is_the_one_failure_of_the_new_opening(breaker):
    upstream = breaker(failure_threshold=3)
    upstream.fail(3)
    upstream.clock.advance(60)
    upstream.fail(1)
    assert upstream.snapshot.failure_count == 1


def test_a_slow_probe_opens_it_again_and_is_no_failure(breaker):
    upstream = breaker(failure_threshold=1, slow_call=1.0)
    upstream.fail(1)
    upstream.clock.advance(60)
    upstream.succeed(1, took=2.0)
    assert upstream.state == "OPEN"
    assert upstream.snapshot.failure_count == 0


def test_a_probe_that_is_rejected_further_inside_gives_its_slot_back(breaker):
    upstream = breaker(failure_threshold=1, success_threshold=1, max_probes=1)
    upstream.fail(1)
    upstream.clock.advance(60)
    with pytest.raises(CircuitOpen):
        upstream.call(CircuitOpen("inner", "circuit_breaker"))
    upstream.succeed(1)
    assert upstream.state == "CLOSED"


def test_a_hung_probe_is_answered_with_the_time_that_it_opens_for(breaker):
    upstream = breaker(failure_threshold=1, max_probes=1, probe_timeout=10.0, reset_timeout=0.5)
    upstream.fail(1)
    upstream.clock.advance(0.5)

    def meanwhile():
        upstream.clock.advance(10.0)
        with pytest.raises(CircuitOpen) as refused:
            upstream.pipeline.call_sync(Script("well").sync)
        assert refused.value.retry_after == 0.5

    upstream.call(meanwhile=meanwhile)
    assert upstream.state == "OPEN"


# What it tells


def test_since_and_success_count_begin_anew_with_each_state(breaker):
    upstream = breaker(failure_threshold=1, success_threshold=1)
    upstream.succeed(3)
    assert upstream.snapshot.success_count == 3
    upstream.clock.advance(5.0)
    upstream.fail(1)
    assert upstream.snapshot.since == upstream.clock.wall()
    assert upstream.snapshot.success_count == 0
    upstream.clock.advance(60)
    upstream.succeed(1)
    assert upstream.state == "CLOSED"
    assert upstream.snapshot.since == upstream.clock.wall()
    assert upstream.snapshot.success_count == 0
    upstream.succeed(2)
    assert upstream.snapshot.success_count == 2


def test_a_success_from_before_a_reset_is_not_counted_after_it(breaker):
    upstream = breaker()
    upstream.call(meanwhile=upstream.breaker.reset)
    assert upstream.snapshot.success_count == 0


def test_replicas_are_told_the_time_that_is_left_even_if_it_is_short():
    async def main(loop):
        store = InMemoryStore(loop)
        one, other = (
            Pipeline("upstream", CircuitBreaker(failure_threshold=1, reset_timeout=0.5), clock=loop)["circuit_breaker"]
            for _ in range(2)
        )
        with pytest.raises(ConnectionError):
            await one.link(_plain)(Script(ConnectionError), (), {})
        for breaker in (one, other):
            await SharedBreakers(store, breaker, clock=loop).exchange()
        assert other.snapshot().retry_after == pytest.approx(0.5)

    run_virtual(main)


async def _plain(function, args, kwargs):
    return await function(*args, **kwargs)


# While another thread does something else


def test_a_circuit_that_is_opened_anew_just_as_its_time_is_over_stays_open():
    upstream = Upstream(Meddling(), failure_threshold=1)
    upstream.fail(1)
    upstream.clock.advance(60)
    upstream.clock.meddle = lambda: upstream.breaker.open_for(0.5)
    assert upstream.rejected().retry_after == 0.5
    assert upstream.state == "OPEN"


def test_a_circuit_that_is_reset_just_as_its_time_is_over_lets_the_call_through():
    upstream = Upstream(Meddling(), failure_threshold=1)
    upstream.fail(1)
    upstream.clock.advance(60)
    upstream.clock.meddle = upstream.breaker.reset
    upstream.succeed(1)
    assert upstream.state == "CLOSED"
    assert upstream.snapshot.success_count == 1


def test_changes_that_nobody_was_told_of_yet_are_told_in_their_order(monkeypatch):
    upstream = Upstream()
    changes = []
    upstream.pipeline.subscribe(changes.append, CircuitChanged)
    with monkeypatch.context() as held_up:  # a thread that made a change and has not come to tell it
        held_up.setattr(upstream.breaker.core, "tell", lambda: None)
        upstream.breaker.isolate()
    upstream.breaker.reset()
    assert [change.state for change in changes] == ["ISOLATED", "CLOSED"]
