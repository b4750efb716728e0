"""What is kept of the deadline for the alternatives."""

import asyncio

import pytest

from sengol_api.resilience import (
    DeadlineExceeded,
    Retry,
    TimedOut,
    Timeout,
    deadline,
    remaining,
)
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.fallbacks import pipeline


@pytest.mark.parametrize("seconds", [0.01, 2.0, 100.0])
def test_a_value_at_hand_answers_when_the_deadline_of_the_caller_is_what_failed(seconds):
    async def main(loop):
        upstream = pipeline(loop, {"stale": lambda: "old"}, Retry(), Timeout(200.0))
        start = loop.now()
        with deadline(seconds, clock=loop):
            served = await upstream.call(Script(hang))
        assert (served.value, served.by) == ("old", "stale")
        assert 0.9 * seconds < loop.now() - start < seconds
        assert isinstance(served.errors["primary"], TimedOut)

    run_virtual(main)


def test_an_alternative_that_waits_has_what_is_kept_for_it():
    async def main(loop):
        quick, slow = Script(after(0.05, "quick")), Script(after(0.5, "slow"))
        with deadline(2.0, clock=loop):
            assert (await pipeline(loop, {"quick": quick}).call(Script(hang))).value == "quick"
        with deadline(2.0, clock=loop):
            assert (await pipeline(loop, {"slow": slow}, reserve=0.5).call(Script(hang))).value == "slow"

    run_virtual(main)


def test_an_alternative_to_a_plain_function_has_what_is_kept_for_it_too():
    clock = ManualClock()
    seen = []

    def work():
        seen.append(remaining())
        clock.advance(remaining())
        raise ConnectionError

    def slow():
        seen.append(remaining())
        return "slow"

    with deadline(10.0, clock=clock):
        assert pipeline(clock, {"slow": slow}, reserve=0.25).call_sync(work).value == "slow"
    assert seen == pytest.approx([7.5, 2.5])


def test_an_alternative_is_cut_at_an_inherited_deadline_and_the_next_still_answers():
    async def main(loop):
        upstream = pipeline(loop, {"slow": Script(hang), "stale": lambda: "old"})
        start = loop.now()
        with deadline(2.0, clock=loop):
            task = asyncio.create_task(upstream.call(Script(hang)))
        served = await task
        assert (served.value, served.by) == ("old", "stale")
        assert loop.now() - start == pytest.approx(2.0, rel=0.02)
        assert isinstance(served.errors["slow"], TimedOut)

    run_virtual(main)


def test_after_the_deadline_only_an_alternative_that_needs_no_waiting_answers():
    async def main(loop):
        waits = Script(after(0.1, "too late"))
        upstream = pipeline(loop, {"waits": waits, "stale": Script("at hand")})
        with deadline(0.0, clock=loop):
            served = await upstream.call(Script("never made"))
        assert (served.value, served.by) == ("at hand", "stale")
        assert isinstance(served.errors["primary"], DeadlineExceeded)
        assert isinstance(served.errors["waits"], DeadlineExceeded)
        assert waits.running == 0

    run_virtual(main)


def test_a_call_in_good_time_keeps_its_deadline():
    async def main(loop):
        with deadline(2.0, clock=loop) as mine:
            assert (await pipeline(loop, {"stale": lambda: "old"}).call(Script(after(1.0, "fresh")))).by == "primary"
            assert mine.remaining() == pytest.approx(1.0)

    run_virtual(main)
