"""The shared budget: turns, pauses, and what it gives back. On virtual time."""

import asyncio
from random import Random

import pytest

from sengol_api.adapters.openai.budget import Cost, ServerBudget
from sengol_api.adapters.openai.errors import OverloadedError, RateLimitedError, ServerFailedError
from sengol_api.resilience import Bulkhead, BulkheadFull, OptionsError, Pipeline, RateLimited, Timeout, deadline
from sengol_api.resilience.testing import ManualClock, Script, after, run_virtual


def told(limit, remaining, reset, what="requests"):
    names = ("limit", "remaining", "reset")
    return {f"x-ratelimit-{name}-{what}": str(value) for name, value in zip(names, (limit, remaining, reset), strict=True)}


class NoChance(Random):
    def uniform(self, a, b):
        return a


def budget(clock, *inner, tokens=10, **options):
    made = ServerBudget(cost=lambda model="m", *_: Cost(model, tokens), **options)
    pipeline = Pipeline("chat", made, *inner, clock=clock, random=NoChance())
    return pipeline, pipeline["server_budget"]


def learn(policy, headers, model="m"):
    with policy.request(Cost(model, 10)) as request:
        request.answered(headers)


def hold(policy, error, model="m"):
    with policy.request(Cost(model, 10)) as request:
        request.refused(error)


async def when(clock, pipeline, *args, times=1):
    """When each of some calls made at once could go, seconds from now."""
    started, ends = clock.now(), []

    async def work(*_):
        ends.append(clock.now() - started)

    results = await asyncio.gather(*(pipeline.call(work, *args) for _ in range(times)), return_exceptions=True)
    return ends, [each for each in results if each is not None]


def test_calls_are_slowed_to_what_is_left_before_the_provider_has_to_refuse():
    async def main(clock):
        pipeline, policy = budget(clock)
        assert await when(clock, pipeline, times=3) == ([0, 0, 0], [])
        learn(policy, told(60, 2, "58s"))
        ends, refused = await when(clock, pipeline, times=5)
        assert ends == pytest.approx([0, 0, 1, 2, 3], abs=0.01)
        assert refused == []
        assert policy.snapshot().waited == 3

    run_virtual(main)


def test_tokens_are_a_limit_of_their_own():
    async def main(clock):
        pipeline, policy = budget(clock, tokens=500)
        learn(policy, told(60, 60, "0s") | told(1000, 600, "4s", "tokens"))  # a hundred tokens each second
        ends, _ = await when(clock, pipeline, times=3)
        assert ends == pytest.approx([0, 4, 4], abs=0.01) or ends == pytest.approx([0, 4, 9], abs=0.01)

    run_virtual(main)


def test_models_do_not_share_a_budget():
    async def main(clock):
        pipeline, policy = budget(clock)
        learn(policy, told(1, 0, "30s"), model="a")
        assert (await when(clock, pipeline, "b"))[0] == [0]
        assert (await when(clock, pipeline, "a"))[0] == pytest.approx([30], abs=0.01)

    run_virtual(main)


def test_all_calls_wait_for_as_long_as_the_provider_asked():
    async def main(clock):
        pipeline, policy = budget(clock)
        hold(policy, RateLimitedError("", retry_after=7.0))
        ends, _ = await when(clock, pipeline, times=4)
        assert min(ends) >= 7.0
        assert max(ends) <= 8.0
        assert policy.snapshot().paused_for == {}

    run_virtual(main)


def test_who_waits_when_another_pause_begins_waits_for_that_as_well():
    async def main(clock):
        pipeline, policy = budget(clock)
        hold(policy, OverloadedError("", retry_after=5.0))
        waiting = asyncio.create_task(when(clock, pipeline))
        await asyncio.sleep(4.0)
        hold(policy, RateLimitedError("", retry_after=6.0))
        assert (await waiting)[0] == pytest.approx([10.0], abs=0.01)

    run_virtual(main)


def test_a_refusal_without_a_wait_slows_all_more_and_more_until_one_is_served():
    async def main(clock):
        _, policy = budget(clock)
        pauses = []
        for _ in range(7):
            hold(policy, RateLimitedError(""))
            pauses.append(policy.snapshot().paused_for["m"])
            await asyncio.sleep(20)
        assert pauses == [0.5, 1, 2, 4, 8, 10, 10]
        with policy.request(Cost("m", 1)) as request:
            request.served()
        hold(policy, RateLimitedError(""))
        assert policy.snapshot().paused_for["m"] == 0.5

    run_virtual(main)


def test_other_errors_hold_nobody_back_unless_they_name_a_wait():
    async def main(clock):
        _, policy = budget(clock)
        hold(policy, ServerFailedError(""))
        assert policy.snapshot().paused_for == {}
        hold(policy, ServerFailedError("", retry_after=3.0))
        assert policy.snapshot().paused_for == {"m": 3.0}

    run_virtual(main)


def test_a_turn_that_comes_too_late_is_refused_at_once_and_says_when():
    async def main(clock):
        pipeline, policy = budget(clock, max_wait=60.0)
        hold(policy, RateLimitedError("", retry_after=90.0))
        with pytest.raises(RateLimited) as caught:
            await pipeline.call(Script())
        assert caught.value.retry_after == pytest.approx(90.0)
        assert "limits" in str(caught.value)
        assert clock.now() == 1000.0
        await asyncio.sleep(60.0)
        started = clock.now()
        with pytest.raises(RateLimited), deadline(5.0, clock=clock):
            await pipeline.call(Script())
        assert clock.now() == started
        assert policy.snapshot().refused == 2

    run_virtual(main)


def test_a_pause_that_is_prolonged_beyond_the_patience_ends_in_a_refusal():
    async def main(clock):
        pipeline, policy = budget(clock, max_wait=10.0)
        hold(policy, RateLimitedError("", retry_after=5.0))
        waiting = asyncio.create_task(when(clock, pipeline))
        await asyncio.sleep(4.0)
        hold(policy, RateLimitedError("", retry_after=30.0))
        ends, refused = await waiting
        assert ends == []
        assert isinstance(refused[0], RateLimited)
        assert clock.now() - 1000.0 == pytest.approx(5.0, abs=0.01)

    run_virtual(main)


def test_a_cancelled_waiter_gives_its_turn_to_the_next():
    async def main(clock):
        pipeline, policy = budget(clock)
        learn(policy, told(60, 0, "60s"))
        first = asyncio.create_task(when(clock, pipeline))
        await asyncio.sleep(0)
        second = asyncio.create_task(when(clock, pipeline))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        third = await when(clock, pipeline)
        assert third[0] == pytest.approx([2.0], abs=0.02)  # as if the first had never come
        assert (await second)[0] == pytest.approx([2.0], abs=0.02)

    run_virtual(main)


def test_a_call_that_was_refused_further_inside_has_used_nothing():
    async def main(clock):
        pipeline, policy = budget(clock, Bulkhead(max_concurrent=1, max_queue=0), Timeout(5.0))
        learn(policy, told(10, 4, "60s"))
        running = asyncio.create_task(pipeline.call(Script(after(2.0))))
        await asyncio.sleep(0)
        for _ in range(3):
            with pytest.raises(BulkheadFull):
                await pipeline.call(Script())
        assert policy.snapshot().left["m"][0] == pytest.approx(3.0)
        await running

    run_virtual(main)


def test_requests_that_the_provider_may_not_have_counted_are_taken_off():
    async def main(clock):
        _, policy = budget(clock)
        with policy.request(Cost("m", 10)) as early, policy.request(Cost("m", 10)) as late, policy.request(Cost("m", 10)):
            early.answered(told(10, 9, "6s"))
            assert policy.snapshot().left["m"][0] == 7.0
            late.answered(told(10, 8, "12s"))
            assert policy.snapshot().left["m"][0] == 7.0

    run_virtual(main)


def test_those_who_wait_keep_their_turns_when_the_provider_tells_anew():
    async def main(clock):
        pipeline, policy = budget(clock)
        learn(policy, told(60, 0, "60s"))
        waiting = asyncio.create_task(when(clock, pipeline, times=3))
        await asyncio.sleep(0.5)
        learn(policy, told(60, 0, "60s"))
        assert (await when(clock, pipeline))[0] == pytest.approx([4.0], abs=0.05)
        assert (await waiting)[0] == pytest.approx([1, 2, 3], abs=0.05)

    run_virtual(main)


def test_the_jitter_of_those_who_waited_is_small_and_never_early():
    async def main(clock):
        made = ServerBudget(cost=lambda *_: Cost("m", 1))
        pipeline = Pipeline("chat", made, clock=clock, random=Random(1))
        hold(pipeline["server_budget"], RateLimitedError("", retry_after=20.0))
        ends, _ = await when(clock, pipeline, times=30)
        assert min(ends) >= 20.0
        assert max(ends) <= 21.1
        assert len(set(ends)) > 20

    run_virtual(main)


def test_a_thousand_waiters_all_get_their_turn_each_waking_once():
    async def main(clock):
        pipeline, policy = budget(clock, max_wait=600.0)
        learn(policy, told(100, 0, "10s"))
        ends, refused = await when(clock, pipeline, times=300)
        assert refused == []
        assert ends == sorted(ends)
        assert ends[-1] == pytest.approx(30.0, abs=0.5)
        assert policy.snapshot().waited == 300

    run_virtual(main)


def test_plain_functions_are_held_back_too():
    clock = ManualClock()
    pipeline, policy = budget(clock)
    hold(policy, RateLimitedError("", retry_after=3.0))
    assert pipeline.call_sync(lambda: "done") == "done"
    assert clock.slept == [3.0]


def test_models_that_come_and_go_do_not_fill_the_memory():
    clock = ManualClock()
    _, policy = budget(clock)
    for number in range(500):
        learn(policy, told(10, 5, "1s"), model=f"m{number}")
    assert len(policy.snapshot().left) == 100


def test_a_cost_must_be_given_and_a_wait_not_negative():
    with pytest.raises(TypeError):
        ServerBudget()
    with pytest.raises(OptionsError, match="max_wait"):
        ServerBudget(cost=lambda *_: Cost("m", 1), max_wait=-1.0)


def test_nobody_holds_all_calls_back_for_longer_than_an_hour():
    _, policy = budget(ManualClock())
    hold(policy, RateLimitedError("", retry_after=86_400.0))
    assert policy.snapshot().paused_for == {"m": 3600.0}


def test_the_wall_clock_may_step():
    async def main(clock):
        pipeline, policy = budget(clock)
        hold(policy, RateLimitedError("", retry_after=5.0))
        clock.step_wall(1e6)
        assert (await when(clock, pipeline))[0] == pytest.approx([5.0], abs=0.01)

    run_virtual(main)
