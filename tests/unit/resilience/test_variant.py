"""A pipeline for calls that ask for something else: other numbers, and all else the same."""

import pytest

from sengol_api.resilience import (
    AdaptiveTimeout,
    Bulkhead,
    BulkheadFull,
    Cache,
    CircuitBreaker,
    CircuitOpen,
    CircuitState,
    OptionsError,
    Pipeline,
    Retry,
    RetryBudget,
    Retrying,
    TimedOut,
    Timeout,
)
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual


class Seen:
    """Counts calls and attempts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.attempts: list[str] = []

    def _link(self, seen, pipeline, inner):
        async def call(function, args, kwargs):
            seen.append(pipeline)
            return await inner(function, args, kwargs)

        return call

    def _link_sync(self, seen, pipeline, inner):
        def call(function, args, kwargs):
            seen.append(pipeline)
            return inner(function, args, kwargs)

        return call

    def around_calls(self, pipeline, inner):
        return self._link(self.calls, pipeline, inner)

    def around_attempts(self, pipeline, inner):
        return self._link(self.attempts, pipeline, inner)

    def around_calls_sync(self, pipeline, inner):
        return self._link_sync(self.calls, pipeline, inner)

    def around_attempts_sync(self, pipeline, inner):
        return self._link_sync(self.attempts, pipeline, inner)


def search_on(clock, *more, **retry):
    return Pipeline(
        "search",
        Retry(jitter="none", **retry),
        CircuitBreaker(),
        Bulkhead(max_concurrent=1, max_queue=0),
        Timeout(1.0),
        *more,
        clock=clock,
    )


def test_its_calls_have_the_other_time_and_the_other_number_of_retries_and_those_of_the_pipeline_do_not():
    async def main(clock):
        search = search_on(clock)
        patient = search.variant({"timeout": {"seconds": 60.0}})
        assert await patient.call(Script(after(30.0, "late"))) == "late"
        hasty = search.variant({"timeout": {"seconds": 0.5}, "retry": {"max_retries": 0}})
        started = clock.now()
        with pytest.raises(TimedOut):
            await hasty.call(Script(hang))
        assert clock.now() - started == pytest.approx(0.5)
        assert search["timeout"].options.seconds == search["timeout"].limit == 1.0
        assert search["retry"].options.max_retries == 3
        assert await search.call(Script(hang, "well")) == "well"

    run_virtual(main)


def test_what_is_counted_and_spent_is_counted_and_spent_for_both():
    async def main(clock):
        search = search_on(clock, budget=RetryBudget(ratio=0.5, per_second=0.0, burst=1.0))
        for _ in range(2):
            await search.call(Script("well"))
        other = search.variant({"retry": {"max_retries": 1}, "timeout": {"seconds": 0.5}})
        assert await other.call(Script(hang, "well")) == "well"
        assert search["timeout"].snapshot().timed_out == 1
        assert (search["retry"].snapshot().calls, search["retry"].snapshot().retries) == (3, 1)
        with pytest.raises(ConnectionError):
            await search.call(Script(ConnectionError(), "never"))
        assert search["retry"].snapshot().gave_up["budget"] == 1

    run_virtual(main)


def test_places_and_the_breaker_are_those_of_the_pipeline():
    async def main(clock):
        search = search_on(clock, max_retries=0)
        other = search.variant({"timeout": {"seconds": 30.0}})

        async def nested():
            await other.call(Script(after(1.0, "x")))

        with pytest.raises(BulkheadFull):
            await search.call(nested)
        for _ in range(5):
            with pytest.raises(ConnectionError):
                await other.call(Script(ConnectionError()))
        assert search["circuit_breaker"].state is CircuitState.OPEN
        with pytest.raises(CircuitOpen):
            await search.call(Script("never"))

    run_virtual(main)


def test_who_listens_and_who_looks_on_hears_and_sees_its_calls_under_the_one_name():
    async def main(clock):
        search = search_on(clock)
        seen, heard = Seen(), []
        search.instrument(seen)
        search.subscribe(heard.append, Retrying)
        other = search.variant({"retry": {"max_retries": 1}})
        assert await other.call(Script(ConnectionError(), "well")) == "well"
        assert other.call_sync(lambda: "plain") == "plain"
        assert seen.calls == ["search"] * 2
        assert seen.attempts == ["search"] * 3
        assert [event.pipeline for event in heard] == ["search"]

    run_virtual(main)


def test_who_looks_on_from_it_is_not_seen_by_the_pipeline():
    search = search_on(ManualClock())
    seen = Seen()
    end = search.variant({}).instrument(seen)
    search.call_sync(lambda: 1)
    end()
    assert seen.calls == []


def test_policies_can_be_left_out():
    async def main(clock):
        search = search_on(clock, AdaptiveTimeout(min_timeout=0.1, max_timeout=0.9, initial=0.2))
        with pytest.raises(TimedOut):
            await search.variant({"retry": {"max_retries": 0}}).call(Script(after(0.5, "late")))
        alone = search.variant({}, without=["adaptive_timeout"])
        assert list(alone) == ["retry", "circuit_breaker", "bulkhead", "timeout"]
        assert await alone.call(Script(after(0.5, "late"))) == "late"
        assert search["adaptive_timeout"].snapshot().samples == 1

    run_virtual(main)


def test_of_a_bypassed_pipeline_it_is_bypassed_too():
    async def main(clock):
        search = search_on(clock)
        search.bypass(on=True)
        other = search.variant({"timeout": {"seconds": 0.5}})
        assert other.bypassed
        assert await other.call(Script(after(5.0, "late"))) == "late"
        other.bypass(on=False)
        assert search.bypassed

    run_virtual(main)


def test_the_rest_of_the_options_is_as_it_is_when_the_variant_is_made():
    search = search_on(ManualClock())
    search["retry"].update(max_retries=7, max_wait=5.0)
    options = search.variant({"retry": {"max_retries": 1}})["retry"].options
    assert (options.max_retries, options.max_wait) == (1, 5.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timeout": {"seconds": -1.0}}, "Timeout: seconds=-1.0 is not allowed, it takes a number above 0"),
        ({"retry": {"tries": 1}}, "Retry: there is no option tries"),
        ({"retry": {"budget": None}}, "Retry: budget is the same for all calls; for some of them initial_delay,"),
        ({"bulkhead": {"max_concurrent": 2}}, "Bulkhead: max_concurrent is the same for all calls"),
        ({"circuit_breaker": {"reset_timeout": 1.0}}, "CircuitBreaker: reset_timeout is the same for all calls"),
    ],
)
def test_what_makes_no_sense_or_is_the_same_for_all_is_refused_and_nothing_is_changed(changes, said):
    search = search_on(ManualClock())
    before = [search[name].options for name in search]
    with pytest.raises(OptionsError) as refused:
        search.variant(changes)
    assert said in str(refused.value)
    assert [search[name].options for name in search] == before


def test_times_that_leave_one_of_two_policies_nothing_to_do_are_refused():
    search = search_on(ManualClock(), AdaptiveTimeout(min_timeout=0.5, max_timeout=1.0))
    with pytest.raises(OptionsError, match="Pipeline 'search'"):
        search.variant({"timeout": {"seconds": 0.1}})


@pytest.mark.parametrize("asked", [{"changes": {"cache": {}}}, {"changes": {}, "without": ["cache"]}])
def test_a_policy_that_is_not_there_is_named_with_those_that_are(asked):
    with pytest.raises(KeyError, match="no policy 'cache'; it has retry"):
        search_on(ManualClock()).variant(**asked)


def test_a_cache_is_the_same_for_all():
    async def main(clock):
        kept = Pipeline("kept", Cache(), Timeout(1.0), clock=clock)

        async def work(_key):
            return "made"

        assert await kept.call(work, 1) == "made"
        assert await kept.variant({"timeout": {"seconds": 9.0}}).call(work, 1) == "made"
        assert kept["cache"].snapshot().hits == 1

    run_virtual(main)
