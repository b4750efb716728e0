"""When all alternatives fail: the error of the work, with those of the others, and nothing left behind."""

import asyncio
import contextlib
import gc
import weakref

import pytest

from sengol_api.resilience.served import fallback_errors
from sengol_api.resilience.testing import Script, run_virtual
from support.toolkit.fallbacks import of, pipeline


def test_when_all_fail_the_error_is_that_of_the_work_and_tells_of_the_others():
    async def main(loop):
        upstream = pipeline(loop, {"stale": Script(KeyError("empty")), "keywords": Script(OSError("disk"))})
        work = Script(ConnectionError("no route"))
        with pytest.raises(ConnectionError, match="no route") as raised:
            await upstream.call(work)
        assert {label: repr(each) for label, each in fallback_errors(raised.value).items()} == {
            "stale": "KeyError('empty')",
            "keywords": "OSError('disk')",
        }
        note = "no alternative had an answer: stale: KeyError('empty'); keywords: OSError('disk')"
        assert raised.value.__notes__ == [note]
        assert of(upstream).unserved == 1
        with pytest.raises(ConnectionError) as again:
            await upstream.call(work)
        assert again.value.__notes__ == [note], "an instance that is raised again gets no second note"

    run_virtual(main)


def test_errors_that_no_alternative_answered_tell_of_none():
    assert fallback_errors(ValueError()) == {}


def test_an_error_that_cannot_carry_anything_is_raised_as_it_is():
    class BareError(Exception):
        __slots__ = ()

        def __setattr__(self, name, value):
            raise AttributeError(name)

    async def main(loop):
        upstream = pipeline(loop, {"stale": Script(KeyError("empty"))})
        with pytest.raises(BareError) as raised:
            await upstream.call(Script(BareError))
        assert fallback_errors(raised.value) == {}

    run_virtual(main)


def test_an_alternative_that_raises_the_error_of_the_work_again_adds_nothing_to_it():
    def again(*, error):
        raise error

    async def main(loop):
        upstream = pipeline(loop, {"again": again})
        with pytest.raises(ConnectionError) as raised:
            await upstream.call(Script(ConnectionError()))
        assert fallback_errors(raised.value) == {}
        assert not hasattr(raised.value, "__notes__")

    run_virtual(main)


class Held:
    """What a frame holds on to."""


async def fails_holding(held):
    await asyncio.sleep(0.1)
    raise ConnectionError(f"{held}")


def also_fails(held):
    try:
        return {}["inner"]
    except KeyError as error:
        raise OSError("outer") from error


@pytest.mark.parametrize("last", [also_fails, lambda held: "old", lambda held, *, error: "old"])
def test_a_fallback_that_raises_leaks_nothing_no_cycle_keeps_the_frames_of_the_call(last):
    async def main(loop):
        upstream = pipeline(loop, {"first": also_fails, "last": last})

        async def once():
            held = Held()
            with contextlib.suppress(ConnectionError):
                await upstream.call(fails_holding, held)
            return weakref.ref(held)

        def once_sync():
            held = Held()
            with contextlib.suppress(OSError):
                guarded(held)
            return weakref.ref(held)

        guarded = upstream(also_fails)
        gc.collect()
        gc.disable()
        try:
            assert (await asyncio.create_task(once()))() is None
            assert once_sync()() is None
        finally:
            gc.enable()

    run_virtual(main)


def test_a_chain_of_errors_that_bites_its_own_tail_ends():
    def tail(*, error):
        one, other = KeyError("one"), KeyError("other")
        one.__context__, other.__context__ = other, one
        failure = OSError()
        failure.__context__ = one
        raise failure

    async def main(loop):
        with pytest.raises(ConnectionError):
            await pipeline(loop, {"tail": tail}).call(Script(ConnectionError()))

    run_virtual(main)
