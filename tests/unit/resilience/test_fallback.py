"""Other answers: in their order, labelled, in time, and with nothing left behind."""

import asyncio
import functools
import threading

import pytest

from sengol_api.resilience import (
    CircuitBreaker,
    CircuitOpen,
    OptionsError,
    Retry,
    Timeout,
    deadline,
)
from sengol_api.resilience.fallback import Fallback, FellBack, NothingServed
from sengol_api.resilience.served import Served, fallback_errors
from sengol_api.resilience.testing import ManualClock, Script, VirtualLoop, after, describe, hang, run_virtual
from support.toolkit.fallbacks import of, pipeline


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
