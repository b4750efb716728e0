"""A second call for one that takes long: it helps where it may, costs what it may, and leaves nothing behind."""

import asyncio
import gc

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, OptionsError, TimedOut, Timeout
from sengol_api.resilience.hedge import Hedge
from sengol_api.resilience.testing import Script, after, hang, run_virtual
from support.toolkit.hedges import Stubborn, of, pipeline, timed


def test_the_second_call_wins_when_the_first_is_slow_and_the_first_is_cancelled():
    async def main(loop):
        upstream, work = pipeline(loop), Script(after(10.0, "first"), after(0.1, "second"))
        assert await timed(loop, upstream.call(work, 1, k=2)) == ("second", 0.6)
        assert work.calls == [((1,), {"k": 2})] * 2
        assert (work.cancelled, work.running) == (1, 0)
        assert asyncio.current_task().cancelling() == 0
        assert (of(upstream).calls, of(upstream).hedges, of(upstream).won, of(upstream).denied) == (1, 1, 1, 0)

    run_virtual(main)


def test_the_first_call_wins_when_it_answers_first_and_the_second_is_cancelled():
    async def main(loop):
        upstream, work = pipeline(loop), Script(after(0.7, "first"), after(0.4, "second"))
        assert await timed(loop, upstream.call(work)) == ("first", 0.7)
        assert (work.cancelled, work.running) == (1, 0)
        assert (of(upstream).hedges, of(upstream).won) == (1, 0)

    run_virtual(main)


def test_a_call_that_answers_in_time_is_made_once_and_costs_no_task():
    async def main(loop):
        tasks = []
        loop.set_task_factory(lambda loop, work, **options: tasks.append(work) or asyncio.Task(work, loop=loop, **options))
        upstream = pipeline(loop)
        for work in (Script("at once"), Script(after(0.4, "soon"))):
            await upstream.call(work)
            await asyncio.sleep(1.0)
            assert len(work.calls) == 1
        assert tasks == []
        assert of(upstream).hedges == 0

    run_virtual(main)


def test_budget_exhaustion_kills_the_original_of_a_hedge_nowhere_here():
    async def main(loop):
        upstream = pipeline(loop, budget=0.0)
        work = Script(after(5.0, "the original"))
        assert await timed(loop, upstream.call(work)) == ("the original", 5.0)
        assert len(work.calls) == 1
        assert (of(upstream).hedges, of(upstream).denied, of(upstream).budget) == (0, 1, 0.0)

    run_virtual(main)


def test_when_all_calls_are_slow_the_extra_ones_stay_within_the_budget():
    async def main(loop):
        upstream, work = pipeline(loop, budget=0.05), Script(after(1.0, "slow"))
        for calls in range(20, 801, 20):
            await asyncio.gather(*(upstream.call(work) for _ in range(20)))
            assert len(work.calls) <= 1.05 * calls
        assert len(work.calls) > 1.04 * 800
        assert of(upstream).hedges + of(upstream).denied == 800

    run_virtual(main)


def test_after_fast_calls_no_more_than_the_burst_comes_at_once():
    async def main(loop):
        upstream, slow = pipeline(loop, budget=0.05, burst=10.0), Script(after(2.0, "slow"))
        for _ in range(1000):
            await upstream.call(Script("fast"))
        await asyncio.gather(*(upstream.call(slow) for _ in range(100)))
        assert len(slow.calls) == 110

    run_virtual(main)


def test_an_error_of_the_first_waits_for_the_second():
    async def main(loop):
        upstream = pipeline(loop)
        work = Script(after(0.6, ConnectionError("first")), after(1.0, "second"))
        assert await timed(loop, upstream.call(work)) == ("second", 1.5)
        assert of(upstream).won == 1

    run_virtual(main)


def test_an_error_of_the_second_does_not_end_the_first():
    async def main(loop):
        upstream = pipeline(loop)
        work = Script(after(2.0, "first"), ConnectionError("second"))
        assert await timed(loop, upstream.call(work)) == ("first", 2.0)

    run_virtual(main)


@pytest.mark.parametrize("second", [0.05, 3.0])
def test_when_both_fail_the_error_is_that_of_the_first(second):
    async def main(loop):
        upstream = pipeline(loop)
        work = Script(after(1.0, ConnectionError("first")), after(second, ConnectionError("second")))
        with pytest.raises(ConnectionError, match="first"):
            await upstream.call(work)
        assert work.running == 0

    run_virtual(main)


def test_when_the_second_answers_in_the_moment_in_which_the_first_fails_it_is_used():
    async def main(loop):
        upstream, gate = pipeline(loop), loop.create_future()
        number = iter(range(2))

        async def work():
            first = next(number) == 0
            await asyncio.shield(gate)
            if first:
                raise ConnectionError("first")
            return "second"

        loop.call_later(1.0, gate.set_result, None)
        assert await upstream.call(work) == "second"

    run_virtual(main)


def test_a_failure_before_the_delay_starts_no_second_call():
    async def main(loop):
        upstream, work = pipeline(loop), Script(after(0.1, ConnectionError()))
        with pytest.raises(ConnectionError):
            await upstream.call(work)
        with pytest.raises(ConnectionError):
            await upstream.call(Script(ConnectionError()))
        await asyncio.sleep(5.0)
        assert len(work.calls) == 1

    run_virtual(main)


def test_the_error_of_a_loser_is_consumed():
    async def main(loop):
        unheard = []
        loop.set_exception_handler(lambda _, context: unheard.append(context))
        upstream = pipeline(loop)
        number = iter(range(10))

        async def work():
            seconds = 1.0 if next(number) % 2 == 0 else 2.0
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                raise OSError("while it was being cancelled") from None
            return seconds

        assert await upstream.call(work) == 1.0
        assert await upstream.call(Script(after(1.0, "first"), after(0.1, OSError("lost")))) == "first"
        with pytest.raises(ConnectionError):
            await upstream.call(Script(after(1.0, ConnectionError()), after(0.1, OSError("lost"))))
        gc.collect()
        await asyncio.sleep(0)
        assert unheard == []

    run_virtual(main)


def test_a_cancelled_loser_is_counted_as_a_success_by_no_policy_inside():
    async def main(loop):
        upstream = pipeline(loop, CircuitBreaker(max_probes=2, success_threshold=5), Bulkhead(), Timeout(30.0))
        upstream["circuit_breaker"].open_for(1.0)
        await asyncio.sleep(1.1)
        assert await upstream.call(Script(hang, after(0.1, "second"))) == "second"
        assert await upstream.call(Script(after(0.7, "first"), hang)) == "first"
        snapshot = upstream.snapshot()
        assert (snapshot["circuit_breaker"].success_count, snapshot["circuit_breaker"].probes) == (2, 0)
        assert (snapshot["bulkhead"].in_flight, snapshot["timeout"].timed_out) == (0, 0)

    run_virtual(main)


def test_a_second_call_that_is_rejected_leaves_the_first_alone():
    async def main(loop):
        upstream = pipeline(loop, Bulkhead(max_concurrent=1, max_queue=0), Timeout(30.0))
        assert await upstream.call(Script(after(2.0, "first"), "never made")) == "first"
        assert upstream.snapshot()["bulkhead"].rejected == 1

    run_virtual(main)


def test_each_call_has_the_whole_time_limit_for_itself():
    async def main(loop):
        upstream = pipeline(loop, Timeout(1.0))
        assert await timed(loop, upstream.call(Script(hang, after(0.8, "second")))) == ("second", 1.3)
        with pytest.raises(TimedOut):
            await upstream.call(Script(hang))
        assert upstream.snapshot()["timeout"].timed_out == 3

    run_virtual(main)


def test_a_time_limit_that_the_work_sets_for_itself_cuts_the_work_and_not_the_caller():
    async def main(loop):
        upstream = pipeline(loop)

        async def work():
            async with asyncio.timeout(0.8):
                await asyncio.sleep(10.0)

        with pytest.raises(TimeoutError):
            await upstream.call(work)
        assert asyncio.current_task().cancelling() == 0

    run_virtual(main)


def test_further_calls_follow_after_a_delay_each_up_to_the_most():
    async def main(loop):
        upstream, work = pipeline(loop, max_hedges=2), Script(hang, hang, after(0.1, "third"))
        await upstream.call(Script("fills the budget"))
        assert await timed(loop, upstream.call(work)) == ("third", 1.1)
        assert work.cancelled == 2
        slow = Script(after(5.0, "slow"))
        for _ in range(10):
            await upstream.call(Script("fills the budget"))
        await upstream.call(slow)
        assert len(slow.calls) == 3

    run_virtual(main)


def test_after_one_has_won_no_further_call_starts_while_the_loser_cleans_up():
    async def main(loop):
        upstream = pipeline(loop, max_hedges=5, delay=0.2)
        await asyncio.gather(*(upstream.call(Script("fills the budget")) for _ in range(9)))
        assert await upstream.call(Stubborn(hang, after(0.01, "second"))) == "second"
        assert of(upstream).hedges == 1

    run_virtual(main)


def test_a_hedge_is_refused_where_nobody_says_that_calls_are_idempotent():
    for missing in ({}, {"idempotent": False}, {"idempotent": 1}):
        with pytest.raises(OptionsError, match="it takes True where a second call does no harm, or a plain function"):
            Hedge(**missing)


def test_a_function_says_which_calls_are_idempotent():
    async def main(loop):
        upstream = pipeline(loop, idempotent=lambda args, kwargs: kwargs["method"] == "GET")
        read, write = Script(after(1.0)), Script(after(1.0))
        await upstream.call(read, method="GET")
        await upstream.call(write, method="POST")
        assert (len(read.calls), len(write.calls)) == (2, 1)
        assert of(upstream).denied == 0

    run_virtual(main)


def test_a_function_that_raises_is_reported_and_the_call_goes_on_alone(monkeypatch):
    reported = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    async def main(loop):
        upstream = pipeline(loop, idempotent=lambda args, kwargs: kwargs["method"] == "GET")
        assert await upstream.call(Script(after(1.0, "first"))) == "first"
        assert (of(upstream).hedges, of(upstream).budget) == (0, 1.0)

    run_virtual(main)
    assert [each.exc_type for each in reported] == [KeyError]
