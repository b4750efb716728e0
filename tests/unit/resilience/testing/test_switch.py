"""Policies off, for tests of what stands behind them."""

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Fallback, Pipeline, Retry
from sengol_api.resilience.testing import Script, policies_off, run_virtual


def isolated(clock):
    pipeline = Pipeline("search", Retry(), CircuitBreaker(), clock=clock)
    pipeline["circuit_breaker"].isolate()
    return pipeline


def test_inside_calls_go_straight_through_and_outside_under_the_policies_again():
    async def main(loop):
        one, other = isolated(loop), isolated(loop)
        with policies_off(one, other):
            for pipeline in (one, other):
                assert await pipeline.call(Script("well")) == "well"
                assert pipeline.call_sync(Script("well").sync) == "well"
                with pytest.raises(ConnectionError):
                    await pipeline.call(Script(ConnectionError(), "never"))
        for pipeline in (one, other):
            with pytest.raises(CircuitOpen):
                await pipeline.call(Script("never"))

    run_virtual(main)


def test_they_are_on_again_after_an_error():
    async def main(loop):
        pipeline = isolated(loop)
        with pytest.raises(ValueError, match="in the test"), policies_off(pipeline):
            raise ValueError("in the test")
        with pytest.raises(CircuitOpen):
            await pipeline.call(Script("never"))

    run_virtual(main)


def test_a_block_inside_of_another_leaves_them_off_until_the_outer_one_ends():
    async def main(loop):
        pipeline = isolated(loop)
        with policies_off(pipeline):
            with policies_off(pipeline):
                pass
            assert await pipeline.call(Script("well")) == "well"
        assert not pipeline.bypassed

    run_virtual(main)


def test_a_fallback_stays_since_its_callers_expect_to_hear_who_served():
    async def main(loop):
        pipeline = Pipeline("search", Fallback({"stale": lambda: "old"}), CircuitBreaker(), clock=loop)
        pipeline["circuit_breaker"].isolate()
        with policies_off(pipeline):
            assert (await pipeline.call(Script("well"))).by == "primary"
            assert pipeline.call_sync(Script("well").sync).value == "well"
        assert (await pipeline.call(Script("never"))).by == "stale"

    run_virtual(main)
