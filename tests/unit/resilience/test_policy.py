"""What every policy has in common."""

import threading
from random import Random

import pytest

from sengol_api.resilience import Bulkhead, CircuitBreaker, OptionsError, Pipeline, Rejected, Timeout
from sengol_api.resilience.events import CallRejected, Events
from sengol_api.resilience.policy import Policy, PolicyOptions, Site, refused
from sengol_api.resilience.testing import ManualClock


def test_options_alone_are_no_policy_and_a_policy_says_what_it_must_have():
    with pytest.raises(TypeError):
        PolicyOptions()
    with pytest.raises(TypeError):
        Policy(Timeout(), Site())


def test_a_policy_knows_its_options_and_its_name_in_the_pipeline():
    pipeline = Pipeline("search", Timeout(9.0), Bulkhead(max_concurrent=3), Timeout(1.0))
    assert [pipeline[name].name for name in pipeline] == ["timeout", "bulkhead", "timeout_2"]
    assert pipeline["bulkhead"].options == Bulkhead(max_concurrent=3)
    assert repr(pipeline["timeout_2"]) == "<TimeoutPolicy of pipeline 'search': Timeout(seconds=1.0)>"


def test_a_policy_can_stand_alone():
    assert Timeout(1.0).build(Site()).name == "policy"


def test_a_refusal_is_told_to_those_who_listen_and_handed_back():
    site = Site("search", "gate", ManualClock(), Events(), Random(1))
    error = Rejected("search", "gate")
    assert refused(site, error) is error
    heard = []
    site.events.subscribe(heard.append)
    assert refused(site, error) is error
    assert heard == [CallRejected(pipeline="search", policy="gate", at=site.clock.wall(), error=error)]


def test_a_change_of_options_keeps_the_others():
    policy = Pipeline("search", Bulkhead(max_concurrent=3, max_queue=7))["bulkhead"]
    policy.update(max_concurrent=5)
    assert policy.options == Bulkhead(max_concurrent=5, max_queue=7)


def test_changes_from_eight_threads_are_made_one_after_the_other():
    policy = Pipeline("search", Bulkhead(max_concurrent=1, max_queue=0))["bulkhead"]
    barrier = threading.Barrier(8)

    def change(number):
        barrier.wait()
        for step in range(50):
            policy.update(max_concurrent=1 + number * 50 + step)
            policy.update(max_queue=number)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert policy._permits._size == policy.options.max_concurrent
    assert len(policy._permits._free) == policy.options.max_concurrent


def test_the_same_options_in_two_pipelines_make_two_policies():
    options = CircuitBreaker()
    first, second = Pipeline("first", options), Pipeline("second", options)
    first["circuit_breaker"].isolate()
    assert second["circuit_breaker"].state == "CLOSED"


def test_options_that_were_changed_are_checked():
    with pytest.raises(OptionsError):
        Timeout(1.0).build(Site()).update(seconds=0)
