"""Who looks on sees every call and every attempt, and changes nothing about them."""

import asyncio

import pytest

from sengol_api.resilience import (
    AdaptiveTimeout,
    Bulkhead,
    Cache,
    Chaos,
    CircuitBreaker,
    CircuitOpen,
    Fallback,
    Hedge,
    OptionsError,
    Pipeline,
    Registry,
    Retry,
    Served,
    TimedOut,
    Timeout,
)
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual


class Diary:
    """Writes down what begins and how it ends."""

    def __init__(self, name="") -> None:
        self.name = name
        self.lines: list[str] = []

    def _link(self, what, pipeline, inner):
        async def call(function, args, kwargs):
            with self._noted(f"{self.name}{what} {pipeline}"):
                return await inner(function, args, kwargs)

        return call

    def _link_sync(self, what, pipeline, inner):
        def call(function, args, kwargs):
            with self._noted(f"{self.name}{what} {pipeline}"):
                return inner(function, args, kwargs)

        return call

    def _noted(self, what):
        diary = self

        class Noted:
            def __enter__(self):
                diary.lines.append(what)

            def __exit__(self, kind, *_):
                diary.lines.append(f"end of {what}" if kind is None else f"{kind.__name__} of {what}")

        return Noted()

    def around_calls(self, pipeline, inner):
        return self._link("call", pipeline, inner)

    def around_calls_sync(self, pipeline, inner):
        return self._link_sync("call", pipeline, inner)

    def around_attempts(self, pipeline, inner):
        return self._link("attempt", pipeline, inner)

    def around_attempts_sync(self, pipeline, inner):
        return self._link_sync("attempt", pipeline, inner)


def watched(*policies, clock=None):
    diary = Diary()
    pipeline = Pipeline("search", *policies, **({} if clock is None else {"clock": clock}))
    pipeline.instrument(diary)
    return pipeline, diary


def test_every_call_and_every_attempt_is_seen():
    async def main(loop):
        pipeline, diary = watched(Retry(jitter="none"), CircuitBreaker(), Timeout(1.0), clock=loop)
        assert await pipeline.call(Script(ConnectionError(), "hit")) == "hit"
        return diary.lines

    assert run_virtual(main) == [
        "call search",
        "attempt search",
        "ConnectionError of attempt search",
        "attempt search",
        "end of attempt search",
        "end of call search",
    ]


def test_of_plain_functions_too():
    pipeline, diary = watched(Retry(initial_delay=0.0), Timeout(1.0), clock=ManualClock())
    assert pipeline.call_sync(Script(ConnectionError(), "hit").sync) == "hit"
    assert diary.lines.count("attempt search") == 2
    assert diary.lines[-1] == "end of call search"


@pytest.mark.parametrize("limit", [Timeout(1.0), AdaptiveTimeout()])
def test_an_attempt_that_was_cut_ends_with_its_time_limit(limit):
    """The limit is part of it: an onlooker tells an attempt that ran out of time from one whose caller went away."""

    async def main(loop):
        pipeline, diary = watched(CircuitBreaker(), limit, clock=loop)
        with pytest.raises(TimedOut):
            await pipeline.call(Script(hang))
        return diary.lines

    assert "TimedOut of attempt search" in run_virtual(main)


def test_a_bad_day_made_by_chaos_is_one_of_the_attempts():
    pipeline, diary = watched(CircuitBreaker(), Timeout(1.0), Chaos(fault_rate=1.0))
    with pytest.raises(ConnectionError):
        pipeline.call_sync(str)
    assert diary.lines[1:3] == ["attempt search", "ConnectionError of attempt search"]


@pytest.mark.parametrize("policies", [(), (Timeout(1.0),), (Chaos(),), (Bulkhead(),), (Timeout(2.0), Retry())])
async def test_whatever_the_policies_are_a_call_makes_one_attempt(policies):
    pipeline, diary = watched(*policies)
    assert await pipeline.call(Script("hit")) == "hit"
    assert diary.lines == ["call search", "attempt search", "end of attempt search", "end of call search"]


def test_what_is_refused_or_kept_makes_no_attempt():
    pipeline, diary = watched(Cache(key=str), CircuitBreaker())
    assert pipeline.call_sync(str, 1) == pipeline.call_sync(str, 1) == "1"
    pipeline["circuit_breaker"].isolate()
    with pytest.raises(CircuitOpen):
        pipeline.call_sync(str, 2)
    assert (diary.lines.count("call search"), diary.lines.count("attempt search")) == (3, 1)
    assert diary.lines[-1] == "CircuitOpen of call search"


def test_a_hedged_call_makes_two_attempts_side_by_side():
    async def main(loop):
        pipeline, diary = watched(Hedge(idempotent=True, delay=0.1, budget=1.0, burst=10.0), clock=loop)
        for _ in range(10):
            await pipeline.call(Script("fill the budget"))
        diary.lines.clear()
        assert await pipeline.call(Script(hang, after(0.1, "second"))) == "second"
        return diary.lines

    lines = run_virtual(main)
    assert lines[:3] == ["call search", "attempt search", "attempt search"]
    assert lines[-1] == "end of call search"


def test_what_is_no_instrument_is_refused_at_once():
    for subject in (Pipeline("search"), Registry()):
        with pytest.raises(OptionsError, match=r"3 is not allowed, it takes an object with the methods of Instrument"):
            subject.instrument(3)


def test_the_first_onlooker_is_the_outermost_and_one_may_look_twice():
    pipeline = Pipeline("search", Timeout(1.0))
    first, second = Diary(), Diary()
    second.lines = first.lines
    first.name, second.name = "1 ", "2 "
    ends = [pipeline.instrument(first), pipeline.instrument(second), pipeline.instrument(first)]
    pipeline.call_sync(str)
    begun = [line for line in first.lines if not line.startswith("end")]
    assert begun == [f"{who} {what} search" for what in ("call", "attempt") for who in (1, 2, 1)]
    first.lines.clear()
    for end in (ends[0], ends[1]):
        end()
        end()
    pipeline.call_sync(str)
    assert [line for line in first.lines if not line.startswith("end")] == ["1 call search", "1 attempt search"]


def test_calls_that_go_straight_through_are_seen_and_keep_their_shape():
    pipeline, diary = watched(Fallback({"none": str}), CircuitBreaker())
    pipeline.bypass(on=True)
    pipeline["circuit_breaker"].isolate()
    assert pipeline.call_sync(str, 1) == Served("1", "primary")
    assert asyncio.run(pipeline.call(Script(2))) == Served(2, "primary")
    assert diary.lines == ["call search", "attempt search", "end of attempt search", "end of call search"] * 2
    diary.lines.clear()
    pipeline.bypass(on=False)
    assert pipeline.call_sync(str, 1).by == "none"
    assert diary.lines == ["call search", "end of call search"]


def test_a_registry_lets_one_look_on_at_the_pipelines_of_today_and_those_to_come():
    registry, diary = Registry(), Diary()
    registry.pipeline("dvecdb")
    end = registry.instrument(diary)
    registry.pipeline("openai")
    for name in registry:
        registry[name].call_sync(str)
    assert [line for line in diary.lines if line.startswith("call")] == ["call dvecdb", "call openai"]
    gone = registry.remove("dvecdb")
    end()
    diary.lines.clear()
    for pipeline in (gone, registry["openai"]):
        pipeline.call_sync(str)
    assert diary.lines == []


def test_without_an_onlooker_the_chain_is_what_it_was():
    pipeline = Pipeline("search", CircuitBreaker())
    before = pipeline._run.__qualname__
    end = pipeline.instrument(Diary())
    assert pipeline._run.__qualname__ != before
    end()
    assert pipeline._run.__qualname__ == before
