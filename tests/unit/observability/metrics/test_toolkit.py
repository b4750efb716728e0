"""The policies of a registry as metrics, read from their snapshots and whatever a client has in its pipelines."""

import dataclasses

import pytest

from sengol_api.observability.metrics.model import gathered
from sengol_api.observability.metrics.toolkit import LEFT_OUT, READINGS, toolkit_samples
from sengol_api.resilience import (
    AdaptiveLimit,
    AdaptiveTimeout,
    Admission,
    Bulkhead,
    Cache,
    Chaos,
    CircuitBreaker,
    CircuitOpen,
    Fallback,
    Hedge,
    PolicyOptions,
    RateLimit,
    RateLimited,
    Registry,
    Retry,
    Timeout,
)
from sengol_api.resilience.testing import ManualClock, Script
from sengol_api.resilience.timeout import TimeoutPolicy

EVERY = (
    Fallback({"none": str}),
    Cache(key=str),
    RateLimit(rate=5.0),
    Admission(),
    Hedge(idempotent=True),
    Retry(),
    CircuitBreaker(),
    Bulkhead(),
    AdaptiveLimit(),
    AdaptiveTimeout(),
    Timeout(1.0),
    Chaos(),
)


def samples(registry):
    return gathered(toolkit_samples(registry))


def kinds():
    unseen, found = [PolicyOptions], set()
    while unseen:
        kind = unseen.pop()
        unseen += kind.__subclasses__()
        if getattr(kind, "kind", None) and kind.__module__.startswith("sengol_api.resilience."):
            found.add(kind.kind)
    return found


def test_every_kind_of_policy_is_shown():
    assert kinds() == READINGS.keys() == {options.kind for options in EVERY}


@pytest.mark.parametrize("options", EVERY, ids=lambda options: options.kind)
def test_every_field_of_a_snapshot_is_shown_or_left_out_on_purpose(options):
    registry = Registry(clock=ManualClock())
    policy = registry.pipeline("x", options)[options.kind]
    fields = {field.name for field in dataclasses.fields(policy.snapshot())}
    read = set(READINGS[options.kind])
    assert read | LEFT_OUT.get(options.kind, frozenset()) == fields
    assert not read & LEFT_OUT.get(options.kind, frozenset())
    assert samples(registry)


def test_a_breaker_is_in_one_state_and_has_its_wait_while_it_is_open():
    clock = ManualClock()
    registry = Registry(clock=clock)
    search = registry.pipeline("dvecdb", CircuitBreaker(failure_threshold=1, reset_timeout=60.0))
    found = samples(registry)
    assert found["sengol_circuit_breaker_state"][("dvecdb", "CLOSED")] == 1.0
    assert sum(found["sengol_circuit_breaker_state"].values()) == 1.0
    assert "sengol_circuit_breaker_retry_after_seconds" not in found
    with pytest.raises(ConnectionError):
        search.call_sync(Script(ConnectionError()).sync)
    with pytest.raises(CircuitOpen):
        search.call_sync(str)
    clock.advance(20.0)
    found = samples(registry)
    assert found["sengol_circuit_breaker_state"][("dvecdb", "OPEN")] == 1.0
    assert found["sengol_circuit_breaker_state"][("dvecdb", "CLOSED")] == 0.0
    assert found["sengol_circuit_breaker_rejected_total"] == {("dvecdb",): 1.0}
    assert found["sengol_circuit_breaker_retry_after_seconds"] == {("dvecdb",): 40.0}


def test_what_policies_counted_stands_under_the_names_of_their_pipelines():
    registry = Registry(clock=ManualClock())
    search = registry.pipeline("dvecdb", Cache(key=str), Retry(initial_delay=0.0, budget=None), Timeout(2.0), Timeout(1.0))
    registry.pipeline("openai", RateLimit(rate=1.0, period=60.0))
    for argument in ("a", "a", "b"):
        search.call_sync(Script(ConnectionError(), "hit").sync, argument)
    registry["openai"].call_sync(str)
    with pytest.raises(RateLimited):
        registry["openai"].call_sync(str)
    found = samples(registry)
    assert {labels[1]: value for labels, value in found["sengol_cache_requests_total"].items()} == {
        "hit": 1.0, "miss": 2.0, "coalesced": 0.0, "stale": 0.0,
    }  # fmt: skip
    assert found["sengol_retries_total"] == {("dvecdb",): 2.0}
    assert "sengol_retry_budget" not in found
    assert found["sengol_timeout_limit_seconds"] == {("dvecdb", "timeout"): 2.0, ("dvecdb", "timeout_2"): 1.0}
    assert found["sengol_rate_limit_calls_total"] == {("openai", "allowed"): 1.0, ("openai", "rejected"): 1.0}
    assert found["sengol_rate_limit_store_away"] == {("openai",): 0.0}
    assert "sengol_cache_tier_away" not in found


def test_a_shared_policy_counts_once_under_the_pipeline_that_built_it():
    registry = Registry(clock=ManualClock())
    search = registry.pipeline("dvecdb", CircuitBreaker())
    upsert = registry.pipeline("dvecdb upsert", search["circuit_breaker"])
    search["circuit_breaker"].isolate()
    for pipeline in (search, upsert):
        with pytest.raises(CircuitOpen):
            pipeline.call_sync(str)
    assert samples(registry)["sengol_circuit_breaker_rejected_total"] == {("dvecdb",): 2.0}


def test_a_listener_that_raises_is_counted(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    registry = Registry()
    registry.pipeline("dvecdb", CircuitBreaker())
    registry.subscribe(lambda _: 1 / 0)
    registry.breakers()["dvecdb"].isolate()
    assert samples(registry)["sengol_listener_errors_total"] == {("dvecdb",): 1.0}


def test_a_pipeline_that_goes_while_it_is_read_is_left_out():
    class Going(Registry):
        def __getitem__(self, name):
            raise KeyError(name)

    registry = Going()
    registry.pipeline("dvecdb", CircuitBreaker())
    assert samples(registry) == {}


@dataclasses.dataclass(frozen=True)
class OwnSnapshot:
    calls: int
    share: float
    state: str


@dataclasses.dataclass(frozen=True)
class Own(Timeout):
    kind = "own"

    def build(self, site):
        return OwnPolicy(self, site)


class OwnPolicy(TimeoutPolicy):
    kind = "own"

    def snapshot(self):
        return OwnSnapshot(3, 0.5, "fine")


def test_the_numbers_of_a_policy_that_nobody_knows_are_shown_all_the_same():
    registry = Registry()
    registry.pipeline("dvecdb", Own(1.0))
    assert samples(registry)["sengol_policy_value"] == {("dvecdb", "own", "calls"): 3.0, ("dvecdb", "own", "share"): 0.5}
