"""All pipelines by their names, today's and tomorrow's, from any thread."""

import threading
from random import Random

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, OptionsError, Pipeline, Retry, Timeout
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.chaos import Chaos
from sengol_api.resilience.events import CallRejected
from sengol_api.resilience.registry import Registry
from sengol_api.resilience.testing import ManualClock, Script


def rejected(pipeline):
    with pytest.raises(CircuitOpen):
        pipeline.call_sync(Script("never made").sync)


def test_a_pipeline_is_made_and_found_by_its_name():
    registry = Registry()
    search = registry.pipeline("dvecdb", Retry(), Timeout(5.0))
    assert registry["dvecdb"] is search
    assert "dvecdb" in registry
    assert "openai" not in registry
    assert list(search) == ["retry", "timeout"]
    assert registry.add(Pipeline("openai")).name == "openai"
    assert (list(registry), len(registry)) == (["dvecdb", "openai"], 2)


def test_a_name_that_is_taken_is_refused_and_the_pipeline_that_has_it_stays():
    registry = Registry()
    first = registry.pipeline("dvecdb")
    for second in (lambda: registry.pipeline("dvecdb", Retry()), lambda: registry.add(Pipeline("dvecdb"))):
        with pytest.raises(OptionsError, match="name='dvecdb' is taken; remove that pipeline first, or take another name"):
            second()
    assert registry["dvecdb"] is first


def test_only_pipelines_are_kept():
    registry = Registry()
    with pytest.raises(OptionsError, match="'search' is no pipeline"):
        registry.add("search")
    assert list(registry) == []


def test_a_name_that_nobody_has_is_told_with_those_that_there_are():
    registry = Registry()
    with pytest.raises(KeyError, match="there is no pipeline 'dvecdb'; there are none"):
        registry["dvecdb"]
    registry.pipeline("openai")
    with pytest.raises(KeyError, match="there is no pipeline 'dvecdb'; there are openai"):
        registry.remove("dvecdb")


def test_clock_and_chance_are_given_once():
    clock = ManualClock()
    registry = Registry(clock=clock, random=Random(1))
    search = registry.pipeline("dvecdb", Chaos(latency_rate=0.5))
    assert search.clock is clock
    for _ in range(20):
        search.call_sync(str)
    again = Pipeline("again", Chaos(latency_rate=0.5), clock=ManualClock(), random=Random(1))
    for _ in range(20):
        again.call_sync(str)
    assert len(clock.slept) == again.snapshot()["chaos"].delayed > 0


def test_one_snapshot_shows_all():
    registry = Registry()
    registry.pipeline("dvecdb", Retry(), Timeout(5.0))
    registry.pipeline("openai", Timeout(30.0))
    snapshot = registry.snapshot()
    assert {name: list(policies) for name, policies in snapshot.items()} == {"dvecdb": ["retry", "timeout"], "openai": ["timeout"]}
    assert snapshot["openai"]["timeout"].limit == 30.0


def test_a_listener_hears_the_pipelines_of_today_and_those_to_come_until_it_does_not_want_to():
    registry, heard = Registry(), []
    registry.pipeline("dvecdb", CircuitBreaker())
    unsubscribe = registry.subscribe(heard.append, CircuitChanged)
    registry.pipeline("openai", CircuitBreaker())
    for breaker in registry.breakers().values():
        breaker.isolate()
    assert [(type(each), each.pipeline) for each in heard] == [(CircuitChanged, "dvecdb"), (CircuitChanged, "openai")]
    rejected(registry["openai"])
    unsubscribe()
    unsubscribe()
    registry.breakers()["dvecdb"].reset()
    registry.pipeline("late", CircuitBreaker())["circuit_breaker"].isolate()
    assert len(heard) == 2


def test_a_listener_without_types_hears_everything():
    registry, heard = Registry(), []
    registry.subscribe(heard.append)
    registry.pipeline("dvecdb", CircuitBreaker())["circuit_breaker"].isolate()
    rejected(registry["dvecdb"])
    assert [type(each) for each in heard] == [CircuitChanged, CallRejected]


def test_a_pipeline_that_was_removed_works_on_unheard_and_its_name_is_free():
    registry, heard = Registry(), []
    registry.subscribe(heard.append)
    removed = registry.pipeline("dvecdb", CircuitBreaker())
    assert registry.remove("dvecdb") is removed
    removed["circuit_breaker"].isolate()
    rejected(removed)
    assert heard == []
    assert "dvecdb" not in registry
    assert registry.pipeline("dvecdb") is registry["dvecdb"]
    assert registry.add(registry.remove("dvecdb")).name == "dvecdb"


def test_all_breakers_are_at_hand_and_pipelines_without_one_are_left_out():
    registry = Registry()
    registry.pipeline("dvecdb", CircuitBreaker())
    registry.pipeline("openai", Timeout(5.0), Timeout(1.0))
    assert list(registry.breakers()) == ["dvecdb"]
    assert registry.breakers()["dvecdb"] is registry["dvecdb"]["circuit_breaker"]
    assert [each.limit for each in registry.policies("timeout")["openai"]] == [5.0, 1.0]


def test_options_are_changed_by_name():
    registry = Registry()
    registry.pipeline("dvecdb", Retry())
    registry.update("dvecdb", "retry", max_retries=1)
    assert registry["dvecdb"]["retry"].options.max_retries == 1
    with pytest.raises(OptionsError, match="there is no option retries"):
        registry.update("dvecdb", "retry", retries=1)
    with pytest.raises(KeyError, match="has no policy 'timeout'"):
        registry.update("dvecdb", "timeout", seconds=1.0)


def test_eight_threads_make_subscribe_and_remove_at_once():
    registry, barrier, heard, taken = Registry(), threading.Barrier(8), [], []

    def work(number):
        barrier.wait()
        for turn in range(50):
            mine = registry.pipeline(f"{number}-{turn}", CircuitBreaker())
            unsubscribe = registry.subscribe(heard.append)
            try:
                registry.pipeline(f"shared-{turn}")
            except OptionsError:
                taken.append(turn)
            registry.snapshot()
            assert mine.name in list(registry)
            unsubscribe()
            registry.remove(mine.name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(registry) == sorted(f"shared-{turn}" for turn in range(50))
    assert len(taken) == 7 * 50
    assert all(not pipeline.events._listeners for pipeline in map(registry.__getitem__, registry))
