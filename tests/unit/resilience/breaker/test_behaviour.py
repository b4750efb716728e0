"""When a breaker opens, probes and closes."""

import asyncio
import threading
from contextlib import suppress

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, CircuitOpen, OptionsError, Pipeline, RateLimited, Retry, Timeout
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from sengol_api.resilience.transient import by_attribute


class AnswerError(Exception):
    def __init__(self, status, retry_after=None):
        self.status_code = status
        self.retry_after = retry_after


class Upstream:
    """A pipeline with a breaker on a clock that stands still, and calls that end at once."""

    def __init__(self, **options):
        self.clock = ManualClock()
        self.pipeline = Pipeline("upstream", CircuitBreaker(**options), clock=self.clock)
        self.breaker = self.pipeline["circuit_breaker"]
        self.changes = []
        self.pipeline.subscribe(self.changes.append, CircuitChanged)

    def call(self, outcome="well", took=0.0):
        def work():
            self.clock.advance(took)
            return Script(outcome).sync()

        return self.pipeline.call_sync(work)

    def succeed(self, times=1, took=0.0):
        for _ in range(times):
            self.call("well", took)

    def fail(self, times=1, error=ConnectionError, took=0.0):
        for _ in range(times):
            with pytest.raises(error if isinstance(error, type) else type(error)):
                self.call(error, took)

    def rejected(self):
        with pytest.raises(CircuitOpen) as refused:
            self.call()
        return refused.value

    @property
    def state(self):
        return self.breaker.state

    @property
    def snapshot(self):
        return self.pipeline.snapshot()["circuit_breaker"]


async def started(work):
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


# Opening


def test_the_defaults_are_those_of_the_guide():
    upstream = Upstream()
    upstream.fail(4)
    assert upstream.state == "CLOSED"
    upstream.fail()
    assert upstream.state == "OPEN"
    upstream.clock.advance(59.9)
    upstream.rejected()
    upstream.clock.advance(0.1)
    upstream.succeed()
    assert upstream.state == "HALF_OPEN"
    upstream.succeed()
    assert upstream.state == "CLOSED"


def test_failures_further_apart_than_the_window_do_not_add_up():
    upstream = Upstream(failure_threshold=3, window=10.0)
    for _ in range(20):
        upstream.fail()
        upstream.clock.advance(5.0)
    assert upstream.state == "CLOSED"


def test_successes_between_do_not_make_failures_forgotten():
    upstream = Upstream(failure_threshold=3)
    for _ in range(3):
        upstream.succeed(10)
        upstream.fail()
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "3 failures"


def test_the_last_calls_are_counted_however_long_ago():
    upstream = Upstream(failure_threshold=3, window_calls=5)
    upstream.fail(2)
    upstream.succeed(4)
    upstream.fail(2)
    assert upstream.state == "CLOSED"
    upstream.clock.advance(1e6)
    upstream.fail()
    assert upstream.state == "OPEN"


def test_in_a_row_means_that_a_success_starts_again():
    upstream = Upstream(trip_on="consecutive", failure_threshold=3)
    upstream.fail(2)
    upstream.succeed()
    upstream.fail(2)
    upstream.clock.advance(1e6)
    assert upstream.state == "CLOSED"
    upstream.fail()
    assert upstream.state == "OPEN"


@pytest.mark.parametrize("window", [{"window": 100.0}, {"window_calls": 50}])
def test_a_share_opens_it_once_there_are_enough_calls(window):
    upstream = Upstream(trip_on="rate", failure_rate=0.4, minimum_calls=10, **window)
    upstream.fail(5)
    upstream.succeed(4)
    assert upstream.state == "CLOSED"
    upstream.fail()
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "6 of 10 calls failed"


def test_a_share_below_the_limit_does_not_open_it():
    upstream = Upstream(trip_on="rate", failure_rate=0.5, minimum_calls=10)
    for _ in range(50):
        upstream.succeed(2)
        upstream.fail()
    assert upstream.state == "CLOSED"


@pytest.mark.parametrize("window", [{}, {"window_calls": 50}, {"trip_on": "rate"}])
def test_a_share_of_slow_calls_opens_it(window):
    upstream = Upstream(slow_call=2.0, slow_rate=0.5, minimum_calls=10, **window)
    upstream.succeed(5, took=2.0)
    upstream.succeed(4, took=2.1)
    assert upstream.state == "CLOSED"
    upstream.succeed(1, took=2.1)
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "5 of 10 calls were slow"
    assert upstream.changes[-1].error is None


def test_slow_failures_are_slow_too():
    upstream = Upstream(slow_call=2.0, minimum_calls=4, failure_threshold=50)
    upstream.succeed(2)
    upstream.fail(2, took=3.0)
    assert upstream.changes[-1].reason == "2 of 4 calls were slow"


def test_a_probe_that_is_slow_opens_it_again():
    upstream = Upstream(slow_call=2.0, minimum_calls=4, success_threshold=1)
    upstream.succeed(4, took=3.0)
    upstream.clock.advance(60)
    upstream.succeed(took=3.0)
    assert upstream.state == "OPEN"
    assert upstream.changes[-1].reason == "a probe was slow"
    assert upstream.snapshot.failure_count == 0
    upstream.clock.advance(60)
    upstream.succeed(took=2.0)
    assert upstream.state == "CLOSED"


def test_a_single_failure_may_be_enough():
    upstream = Upstream(failure_threshold=1)
    upstream.fail()
    assert upstream.changes[-1].reason == "1 failure"


# What counts


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


# Open


def test_a_rejection_says_who_refused_and_for_how_long():
    upstream = Upstream(failure_threshold=1)
    upstream.fail()
    upstream.clock.advance(20)
    rejection = upstream.rejected()
    assert (rejection.name, rejection.policy, rejection.retry_after) == ("upstream", "circuit_breaker", 40)
    assert str(rejection) == "upstream: the call was not made: the circuit breaker is open (circuit_breaker); try again in 40 s"
    assert upstream.snapshot.rejected == 1


def test_a_step_of_the_wall_clock_changes_nothing():
    upstream = Upstream(failure_threshold=1, success_threshold=1)
    upstream.fail()
    upstream.clock.step_wall(1e9)
    assert upstream.rejected().retry_after == 60
    upstream.clock.step_wall(-2e9)
    upstream.clock.advance(60)
    upstream.succeed()
    assert upstream.state == "CLOSED"


@pytest.mark.parametrize(
    ("wait", "options", "seconds"),
    [
        (90, {}, 90),
        (30, {}, 60),
        (90, {"honour_retry_after": False}, 60),
        (1e9, {}, 600),
        (float("inf"), {"max_reset_timeout": 100.0}, 100),
        (float("nan"), {}, 60),
        (-5, {}, 60),
        ("soon", {}, 60),
        (10**400, {}, 600),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_server_s_wait_is_honoured_within_bounds(wait, options, seconds):
    upstream = Upstream(failure_threshold=1, **options)
    upstream.fail(1, AnswerError(503, retry_after=wait))
    assert upstream.snapshot.retry_after == seconds


def test_the_break_grows_with_each_failed_probe_and_starts_again_after_a_closing():
    upstream = Upstream(failure_threshold=1, success_threshold=1, reset_timeout=10.0, reset_multiplier=3.0, max_reset_timeout=100.0)
    breaks = []
    for _ in range(5):
        upstream.fail()
        breaks.append(upstream.snapshot.retry_after)
        upstream.clock.advance(breaks[-1])
    assert breaks == pytest.approx([10, 30, 90, 100, 100])
    upstream.succeed()
    upstream.fail()
    assert upstream.snapshot.retry_after == 10


def test_the_break_does_not_overflow():
    upstream = Upstream(failure_threshold=1, reset_multiplier=1e300)
    for _ in range(20):
        upstream.fail()
        upstream.clock.advance(600)
    assert upstream.changes[-1].retry_after == 600


# Half-open


def test_of_50_threads_worth_of_calls_only_the_probes_pass():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=3, success_threshold=3), clock=loop)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        work = Script(after(1.0, "well"))
        answers = await asyncio.gather(*(pipeline.call(work) for _ in range(50)), return_exceptions=True)
        assert len(work.calls) == 3
        rejections = [answer for answer in answers if isinstance(answer, CircuitOpen)]
        assert len(rejections) == 47
        assert {each.retry_after for each in rejections} == {None}
        assert "half-open and all its probes are out" in str(rejections[0])
        assert pipeline["circuit_breaker"].state == "CLOSED"

    run_virtual(main)


def test_one_failed_probe_opens_it_again_and_the_others_change_nothing():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=3, success_threshold=2), clock=loop)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        probes = [
            await started(pipeline.call(Script(step)))
            for step in (after(1.0, ConnectionError()), after(2.0, "well"), after(3.0, "well"))
        ]
        await asyncio.gather(*probes, return_exceptions=True)
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.probes, snapshot.success_count) == ("OPEN", 0, 0)

    run_virtual(main)


def test_a_hung_probe_counts_as_failed_and_its_late_success_as_nothing():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", CircuitBreaker(failure_threshold=1, max_probes=1, success_threshold=1, probe_timeout=10.0), clock=loop
        )
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        hung = await started(pipeline.call(Script(after(80.0, "late"))))
        await asyncio.sleep(9.9)
        with pytest.raises(CircuitOpen, match="half-open"):
            await pipeline.call(Script("well"))
        await asyncio.sleep(0.1)
        with pytest.raises(CircuitOpen, match="is open"):
            await pipeline.call(Script("well"))
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 1
        await asyncio.sleep(65)
        second = await started(pipeline.call(Script(hang)))
        assert await hung == "late"
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.probes, snapshot.success_count) == ("HALF_OPEN", 1, 0)
        second.cancel()

    run_virtual(main)


def test_a_late_failure_from_before_the_opening_opens_nothing_again():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, success_threshold=1), clock=loop)
        late = await started(pipeline.call(Script(after(70.0, ConnectionError()))))
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(61)
        assert await pipeline.call(Script("well")) == "well"
        with pytest.raises(ConnectionError):
            await late
        assert pipeline["circuit_breaker"].state == "CLOSED"
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 0

    run_virtual(main)


@pytest.mark.parametrize("mode", [{}, {"trip_on": "consecutive"}, {"slow_call": 100.0}])
def test_a_late_success_from_before_the_opening_counts_nowhere(mode):
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, success_threshold=1, **mode), clock=loop)
        late = [await started(pipeline.call(Script(after(seconds, "late")))) for seconds in (10.0, 62.0)]
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(61)
        probe = await started(pipeline.call(Script(hang)))
        await asyncio.gather(*late)
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.success_count, snapshot.probes) == ("HALF_OPEN", 0, 1)
        probe.cancel()

    run_virtual(main)


class Collecting(ManualClock):
    """Closes a coroutine in the middle of whatever asks for the time, as the collector may do with one that nobody holds."""

    abandoned = None

    def now(self):
        coroutine, self.abandoned = self.abandoned, None
        if coroutine is not None:
            coroutine.close()
        return super().now()


class Waiting:
    def __await__(self):
        yield


def test_a_probe_that_the_collector_finds_gives_its_slot_back_even_while_the_breaker_is_at_work():
    clock = Collecting()
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=1), clock=clock)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    clock.advance(60)
    probe = pipeline.call(Waiting)
    probe.send(None)  # under way, in an event loop that will never come back to it
    assert pipeline.snapshot()["circuit_breaker"].probes == 1
    clock.abandoned = probe
    snapshots = []
    looking = threading.Thread(target=lambda: snapshots.append(pipeline.snapshot()["circuit_breaker"]), daemon=True)
    looking.start()
    looking.join(120)
    assert [snapshot.probes for snapshot in snapshots] == [0]


# Composition


def test_a_timeout_further_inside_counts_once_and_a_rejection_by_a_bulkhead_not_at_all():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", CircuitBreaker(failure_threshold=2), Bulkhead(max_concurrent=1, max_queue=0), Timeout(1.0), clock=loop
        )
        answers = await asyncio.gather(*(pipeline.call(Script(hang)) for _ in range(5)), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["BulkheadFull"] * 4 + ["TimedOut"]
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 1

    run_virtual(main)


def test_an_outage_costs_only_probes_and_traffic_is_back_after_one_break_and_one_probe():
    async def main(loop):
        pipeline = Pipeline("upstream", Retry(), CircuitBreaker(), Timeout(1.0), clock=loop)
        calls, broken = [], True

        async def upstream():
            calls.append(loop.now())
            await asyncio.sleep(0.01)
            if broken:
                raise ConnectionError
            return "well"

        async def caller():
            for _ in range(3600):
                with suppress(ConnectionError, CircuitOpen):
                    await pipeline.call(upstream)
                await asyncio.sleep(1)

        task = asyncio.ensure_future(caller())
        await asyncio.sleep(600)
        assert len(calls) <= 5 + 10 * 2
        broken, back = False, loop.now()
        closed = []
        pipeline.subscribe(lambda change: change.state == "CLOSED" and closed.append(loop.now()), CircuitChanged)
        await asyncio.sleep(100)
        assert len(closed) == 1
        assert closed[0] - back <= 60 + 3
        task.cancel()

    run_virtual(main)


# Options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"failure_threshold": 0}, "failure_threshold=0 is not allowed"),
        ({"success_threshold": True}, "success_threshold=True is not allowed"),
        ({"reset_timeout": -1}, "reset_timeout=-1 is not allowed, it takes a number above 0"),
        ({"window": float("nan")}, "window=nan is not allowed"),
        ({"trip_on": "luck"}, "it takes one of count, consecutive, rate"),
        ({"failure_rate": 0}, "failure_rate=0 is not allowed"),
        ({"max_probes": 0}, "max_probes=0 is not allowed"),
        ({"failure_on": 500}, "failure_on=500 is not allowed"),
        ({"failure_threshold": 6, "window_calls": 5}, "it could never open; take at most 5"),
        ({"trip_on": "rate", "window_calls": 5}, "minimum_calls=20 is above window_calls=5"),
        ({"slow_call": 1.0, "window_calls": 5}, "minimum_calls=20 is above window_calls=5"),
        ({"trip_on": "consecutive", "slow_call": 1.0}, "take 'count' or 'rate'"),
        ({"reset_timeout": 601.0}, "reset_timeout=601 is above max_reset_timeout=600"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, told):
    with pytest.raises(OptionsError) as refused:
        CircuitBreaker(**options)
    assert told in str(refused.value)


def test_a_threshold_above_the_window_is_fine_where_it_plays_no_part():
    CircuitBreaker(trip_on="rate", window_calls=5, minimum_calls=5, failure_threshold=50)
    CircuitBreaker(trip_on="consecutive", window_calls=5, failure_threshold=50)


def test_a_call_that_began_untimed_is_not_slow_once_times_are_taken():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(minimum_calls=1), clock=loop)
        calls = [await started(pipeline.call(Script(after(1.0, "well")))) for _ in range(5)]
        pipeline["circuit_breaker"].update(slow_call=5.0)
        await asyncio.gather(*calls)
        assert pipeline["circuit_breaker"].state == "CLOSED"

    run_virtual(main)


def test_what_was_counted_stays_when_other_options_change_and_goes_when_its_meaning_does():
    upstream = Upstream(failure_threshold=5)
    upstream.fail(3)
    upstream.breaker.update(reset_timeout=30.0)
    assert upstream.snapshot.recent_failures == 3
    upstream.breaker.update(window=60.0)
    assert upstream.snapshot.recent_failures == 0
    upstream.fail(5)
    assert upstream.rejected().retry_after == 30


def test_refused_options_leave_the_old_ones():
    upstream = Upstream(failure_threshold=2)
    with pytest.raises(OptionsError):
        upstream.breaker.update(reset_timeout=1e6)
    upstream.fail(2)
    assert upstream.rejected().retry_after == 60


def test_more_probes_and_another_threshold_hold_at_once():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=1, success_threshold=5), clock=loop)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        work = Script(after(1.0, "well"))
        probes = [await started(pipeline.call(work))]
        pipeline["circuit_breaker"].update(max_probes=3, success_threshold=2)
        probes += [await started(pipeline.call(work)) for _ in range(2)]
        await asyncio.gather(*probes)
        assert pipeline["circuit_breaker"].state == "CLOSED"

    run_virtual(main)
