"""Where a time limit changes its mind, and what it leaves behind when it ends by accident."""

import asyncio
import math

import pytest

from sengol_api.resilience import Pipeline, TimedOut, Timeout, deadline
from sengol_api.resilience.expiry import Expiry
from sengol_api.resilience.testing import Script, hang, run_virtual


def test_a_limit_that_ends_together_with_the_deadline_is_the_policys_own():
    async def main(loop):
        with deadline(1.0, clock=loop), pytest.raises(TimedOut) as cut:
            await Pipeline("search", Timeout(1.0), clock=loop).call(Script(hang))
        assert not cut.value.by_deadline

    run_virtual(main)


@pytest.mark.parametrize(("left", "hurried"), [(1.0, True), (2.0, True), (2.4, True), (2.5, False), (3.0, False), (5.0, False)])
def test_a_call_is_in_a_hurry_that_starts_when_less_than_half_of_its_deadline_is_left(left, hurried):
    async def main(loop):
        with deadline(5.0, clock=loop):
            await asyncio.sleep(5.0 - left)
            with pytest.raises(TimedOut) as cut:
                await Pipeline("search", Timeout(60.0), clock=loop).call(Script(hang))
        assert cut.value.by_deadline
        assert cut.value.hurried is hurried

    run_virtual(main)


def test_a_call_that_its_own_limit_cuts_was_in_no_hurry():
    async def main(loop):
        with deadline(60.0, clock=loop), pytest.raises(TimedOut) as cut:
            await Pipeline("search", Timeout(1.0), clock=loop).call(Script(hang))
        assert not cut.value.by_deadline
        assert not cut.value.hurried

    run_virtual(main)


def test_a_deadline_that_was_not_entered_has_no_end():
    waiting = deadline(5.0)
    assert waiting.remaining() == math.inf
    assert waiting.total == math.inf


def test_a_block_without_deadline_can_be_asked_like_any_other():
    with deadline(5.0), deadline(None) as free:
        assert free.remaining() == math.inf


def test_work_that_cannot_be_limited_is_closed_before_the_caller_hears_of_it():
    async def main(loop):
        closed = []

        async def waits():
            try:
                await asyncio.sleep(1)
            finally:
                closed.append(True)

        heard = loop.create_future()

        def by_hand():
            call = Pipeline("search", Timeout(1.0), clock=loop).call(waits)
            try:
                call.send(None)
            except RuntimeError:
                heard.set_result(list(closed))

        loop.call_soon(by_hand)
        assert await heard == [True]

    run_virtual(main)


def test_an_error_of_work_that_is_closed_comes_out_of_the_call_that_is_closed():
    async def main(loop):
        async def fails_to_close():
            try:
                await asyncio.sleep(1)
            except GeneratorExit:
                raise ValueError("of the clean-up") from None

        call = Pipeline("search", Timeout(1.0), clock=loop).call(fails_to_close)
        call.send(None)
        with pytest.raises(ValueError, match="of the clean-up"):
            call.close()

    run_virtual(main)


def test_a_cancellation_from_outside_during_the_clean_up_after_a_cut_is_not_taken_for_a_second_cut():
    async def main(loop):
        claims = []

        async def work():
            outer = Expiry(1.0)
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                inner = Expiry(1.0)
                loop.call_at(loop.time() + 1.0, task.cancel)
                try:
                    await asyncio.sleep(5)
                except asyncio.CancelledError:
                    claims.append((inner.fired, inner.claim()))
                finally:
                    inner.disarm()
            finally:
                outer.disarm()

        task = asyncio.create_task(work())
        await asyncio.wait([task])
        assert claims == [(True, False)]

    run_virtual(main)
