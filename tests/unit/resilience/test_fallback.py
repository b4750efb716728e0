"""Other answers: in their order, labelled, in time, and with nothing left behind."""

import asyncio
import contextlib
import functools
import gc
import threading
import weakref

import pytest

from sengol_api.resilience import (
    CircuitBreaker,
    CircuitOpen,
    DeadlineExceeded,
    OptionsError,
    Pipeline,
    Retry,
    TimedOut,
    Timeout,
    deadline,
    remaining,
)
from sengol_api.resilience.fallback import Fallback, FellBack, NothingServed
from sengol_api.resilience.served import Served, fallback_errors
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, describe, hang, run_virtual


def pipeline(clock, alternatives, *inside, **options):
    return Pipeline("upstream", Fallback(alternatives, **options), *inside, clock=clock)


def of(upstream):
    return upstream.snapshot()["fallback"]


def test_the_result_says_that_the_work_itself_served():
    async def main(loop):
        upstream = pipeline(loop, {"stale": Script("old")})
        served = await upstream.call(Script("fresh"))
        assert served == Served("fresh", "primary", {})
        value, by, errors = served
        assert (value, by, dict(errors)) == ("fresh", "primary", {})
        assert of(upstream).served == {"primary": 1, "stale": 0}

    run_virtual(main)


def test_the_first_alternative_with_an_answer_serves_and_the_result_says_so():
    async def main(loop):
        broken, stale, never = Script(KeyError("empty")), Script("old"), Script("never asked")
        upstream = pipeline(loop, {"broken": broken, "stale": stale, "never": never})
        error = ConnectionError("no route")
        served = await upstream.call(Script(error), 1, k=2)
        assert (served.value, served.by, list(served.errors)) == ("old", "stale", ["primary", "broken"])
        assert served.errors["primary"] is error
        assert broken.calls == stale.calls == [((1,), {"k": 2})]
        assert never.calls == []
        assert of(upstream).served == {"primary": 0, "broken": 0, "stale": 1, "never": 0}
        assert of(upstream).failed == {"broken": 1, "stale": 0, "never": 0}

    run_virtual(main)


def test_alternatives_may_be_plain_functions_or_wait():
    async def main(loop):
        assert (await pipeline(loop, {"plain": lambda: "at hand"}).call(Script(OSError()))).value == "at hand"
        assert (await pipeline(loop, {"waits": Script(after(3.0, "later"))}).call(Script(OSError()))).value == "later"
        partial = functools.partial(Script(after(1.0, "later")), k=1)
        assert (await pipeline(loop, {"partial": partial}).call(Script(OSError()))).value == "later"

    run_virtual(main)


def test_an_alternative_that_has_a_parameter_for_the_error_gets_it():
    async def explain(*, error):
        return f"because of {error!r}"

    def positional(error="not given"):
        return error

    async def main(loop):
        work = Script(ConnectionError("no route"))
        assert (await pipeline(loop, {"explain": explain}).call(work)).value == "because of ConnectionError('no route')"
        assert (await pipeline(loop, {"positional": positional}).call(work)).value == "not given"
        assert (await pipeline(loop, {"in C": dict}).call(work)).value == {}

    run_virtual(main)


def test_rejections_are_answered_as_well():
    async def main(loop):
        upstream = pipeline(loop, {"stale": lambda: "old"}, CircuitBreaker())
        upstream["circuit_breaker"].isolate()
        served = await upstream.call(Script("never made"))
        assert served.value == "old"
        assert isinstance(served.errors["primary"], CircuitOpen)

    run_virtual(main)


def test_a_retry_inside_is_through_before_an_alternative_is_asked():
    async def main(loop):
        upstream = pipeline(loop, {"stale": lambda: "old"}, Retry(), Timeout(5.0))
        work = Script(ConnectionError(), ConnectionError(), "fresh")
        assert (await upstream.call(work)).by == "primary"
        down = Script(ConnectionError())
        assert (await upstream.call(down)).by == "stale"
        assert len(down.calls) == 4

    run_virtual(main)


def test_a_cancellation_is_never_answered():
    async def main(loop):
        stale = Script("old")
        upstream = pipeline(loop, {"stale": stale})
        task = asyncio.create_task(upstream.call(Script(hang)))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stale.calls == []
        slow = pipeline(loop, {"slow": Script(hang), "next": stale})
        task = asyncio.create_task(slow.call(Script(OSError())))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stale.calls == [], "a cancelled alternative does not lead to the next one"
        assert of(slow) == of(pipeline(loop, {"slow": stale, "next": stale})), "and counts nowhere"

    run_virtual(main)


def test_only_what_the_options_name_is_answered():
    async def main(loop):
        upstream = pipeline(loop, {"stale": lambda: "old"}, fallback_on=(ConnectionError, TimeoutError))
        assert (await upstream.call(Script(ConnectionError()))).value == "old"
        with pytest.raises(KeyError):
            await upstream.call(Script(KeyError()))
        assert of(upstream).unserved == 0

    run_virtual(main)


def test_a_predicate_that_raises_is_reported_and_the_caller_gets_the_error_of_the_work(monkeypatch):
    reported = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)

    async def main(loop):
        upstream = pipeline(loop, {"stale": lambda: "old"}, fallback_on=lambda error: error.status >= 500)
        with pytest.raises(ConnectionError):
            await upstream.call(Script(ConnectionError()))

    run_virtual(main)
    assert [each.exc_type for each in reported] == [AttributeError]


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


def test_listeners_hear_who_answered_and_that_nobody_did():
    async def main(loop):
        heard = []
        upstream = pipeline(loop, {"stale": Script("old", KeyError())})
        upstream.subscribe(heard.append)
        await upstream.call(Script(ConnectionError("first")))
        with pytest.raises(ConnectionError):
            await upstream.call(Script(ConnectionError("second")))
        assert [type(each) for each in heard] == [FellBack, NothingServed]
        assert (heard[0].label, str(heard[0].error)) == ("stale", "first")
        assert list(fallback_errors(heard[1].error)) == ["stale"]

    run_virtual(main)


def test_alternatives_changed_at_run_time_hold_for_the_next_call():
    async def main(loop):
        upstream = pipeline(loop, {"stale": Script(after(1.0, "old"))})
        under_way = asyncio.create_task(upstream.call(Script(ConnectionError())))
        await asyncio.sleep(0.5)
        upstream["fallback"].update(alternatives={"empty": list})
        assert (await under_way).by == "stale"
        assert (await upstream.call(Script(ConnectionError()))).value == []
        assert of(upstream).served == {"primary": 0, "stale": 1, "empty": 1}

    run_virtual(main)


def test_a_dictionary_that_changes_later_changes_nothing():
    alternatives = {"stale": lambda: "old"}
    upstream = pipeline(ManualClock(), alternatives)
    alternatives.clear()
    assert upstream.call_sync(Script(OSError()).sync).value == "old"
    assert "stale" in describe(upstream)


def test_plain_functions_are_answered_in_the_same_way():
    clock = ManualClock()

    def explain(*, error):
        return repr(error)

    upstream = pipeline(clock, {"broken": Script(KeyError()).sync, "explain": explain})
    assert upstream.call_sync(Script("fresh").sync) == Served("fresh", "primary", {})
    assert upstream.call_sync(Script(OSError("disk")).sync)[:2] == ("OSError('disk')", "explain")
    with deadline(2.0, clock=clock):
        assert upstream.call_sync(clock.advance, 0.5).by == "primary"
        clock.advance(3.0)
        assert upstream.call_sync(Script("never made").sync).by == "explain"
    broken = pipeline(clock, {"broken": Script(KeyError()).sync, "coroutine": Script("never awaited")}, fallback_on=OSError)
    with pytest.raises(OSError, match="disk") as raised:
        broken.call_sync(Script(OSError("disk")).sync)
    assert isinstance(fallback_errors(raised.value)["coroutine"], TypeError)
    with pytest.raises(KeyError):
        broken.call_sync(Script(KeyError()).sync)


def test_it_serves_two_event_loops_one_after_the_other():
    clock = VirtualLoop()
    upstream = pipeline(clock, {"slow": Script(after(0.1, "old"))})
    for loop in (clock, VirtualLoop()):
        assert run_virtual(upstream.call(Script(ConnectionError())), loop=loop).by == "slow"


def test_eight_threads_count_every_answer_once():
    upstream = pipeline(ManualClock(), {"broken": Script(KeyError()).sync, "stale": str})
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        for _ in range(200):
            upstream.call_sync(Script(OSError()).sync)
            upstream.call_sync(Script("fresh").sync)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert of(upstream).served == {"primary": 1600, "broken": 0, "stale": 1600}
    assert of(upstream).failed == {"broken": 1600, "stale": 0}


@pytest.mark.parametrize(
    "options",
    [
        {"alternatives": {}},
        {"alternatives": [("stale", len)]},
        {"alternatives": {"": len}},
        {"alternatives": {"primary": len}},
        {"alternatives": {"stale": "not a function"}},
        {"alternatives": {"stale": len}, "reserve": 0.0},
        {"alternatives": {"stale": len}, "fallback_on": "errors"},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(OptionsError, match="is not allowed, it takes"):
        Fallback(**options)
