"""Calls that follow a script."""

import asyncio
import traceback

import pytest

from sengol_api.resilience.testing import Script, after, hang, run_virtual


def test_each_call_plays_the_next_step_and_the_last_repeats():
    async def main():
        upstream = Script("first", ConnectionError("second"), "last")
        assert await upstream() == "first"
        with pytest.raises(ConnectionError, match="second"):
            await upstream()
        assert [await upstream() for _ in range(3)] == ["last"] * 3

    run_virtual(main())


def test_without_steps_it_gives_nothing():
    async def main():
        assert await Script()() is None

    run_virtual(main())
    assert Script().sync() is None


def test_it_remembers_its_calls():
    async def main():
        upstream = Script("well")
        await upstream(1, self=2)
        upstream.sync("a", b="c")
        assert upstream.calls == [((1,), {"self": 2}), (("a",), {"b": "c"})]

    run_virtual(main())


def test_a_step_may_take_time_and_be_nested():
    async def main(loop):
        assert await Script(after(2.0, "slow"))() == "slow"
        assert loop.time() == 1002.0
        assert await Script(after(1.0, after(1.0, "slower")))() == "slower"
        assert loop.time() == 1004.0
        with pytest.raises(ValueError, match="slow"):
            await Script(after(1.0, ValueError("slow")))()

    run_virtual(main)


@pytest.mark.parametrize("step", [hang, after(1.0, hang)])
def test_a_step_may_hang_until_it_is_cancelled(step):
    async def main():
        upstream = Script(step)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await upstream()
        assert (upstream.cancelled, upstream.running) == (1, 0)

    run_virtual(main())


def test_it_counts_what_runs_at_once():
    async def main():
        upstream = Script(after(1.0))
        tasks = [asyncio.create_task(upstream()) for _ in range(3)]
        await asyncio.sleep(0.5)
        assert upstream.running == 3
        await asyncio.gather(*tasks)
        await upstream()
        assert (upstream.running, upstream.most, upstream.cancelled) == (0, 3, 0)

    run_virtual(main())


def test_a_step_may_be_an_error_type_or_a_function():
    async def main():
        with pytest.raises(KeyError):
            await Script(KeyError)()
        assert await Script(lambda: "made")() == "made"
        assert await Script(dict)() is dict

    run_virtual(main())
    with pytest.raises(KeyError):
        Script(KeyError).sync()


def test_an_error_that_is_raised_again_and_again_does_not_grow():
    upstream = Script(ValueError("again"))
    sizes = set()
    for _ in range(10):
        with pytest.raises(ValueError, match="again") as error:
            upstream.sync()
        sizes.add(len(traceback.extract_tb(error.value.__traceback__)))
    assert len(sizes) == 1


@pytest.mark.parametrize(("step", "name"), [(hang, "hang"), (after(1.0, "slow"), r"after\(seconds=1.0, outcome='slow'\)")])
def test_a_plain_function_cannot_play_what_takes_time(step, name):
    with pytest.raises(TypeError, match=f"a plain function cannot play {name}: it takes time"):
        Script(step).sync()
