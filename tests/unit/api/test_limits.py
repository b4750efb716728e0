"""How often one may ask."""

import pytest

from sengol_api.api.limits import ACCOUNT_COST, LimitOptions, LimitReachedError, Limits, account
from sengol_api.resilience import InMemoryRateStore, Registry
from sengol_api.resilience.testing import ManualClock


def make(clock=None, registry=None, **options):
    return Limits(LimitOptions(requests_per_minute=3, logins_per_minute=2, **options), registry, clock=clock or ManualClock())


async def refused(limits, *asked):
    with pytest.raises(LimitReachedError) as reached:
        await limits.take(*asked)
    return reached.value


async def test_the_limit_is_let_through_and_the_next_one_is_told_how_long_to_wait():
    clock = ManualClock()
    limits = make(clock)
    headers = [await limits.take("requests", "user:1") for _ in range(3)]
    assert [h["RateLimit"] for h in headers] == [f'"requests";r={left};t={due}' for left, due in ((2, 20), (1, 40), (0, 60))]
    assert headers[0]["RateLimit-Policy"] == '"requests";q=3;w=60'
    told = await refused(limits, "requests", "user:1")
    assert (told.error.code, told.headers["RateLimit"]) == ("RATE_LIMIT_ERROR", '"requests";r=0;t=60')
    assert told.error.retry_after == pytest.approx(20)
    clock.advance(20)
    await limits.take("requests", "user:1")
    await refused(limits, "requests", "user:1")


async def test_one_greedy_user_takes_nothing_from_another():
    limits = make()
    for _ in range(3):
        await limits.take("requests", "user:1")
    await refused(limits, "requests", "user:1")
    assert (await limits.take("requests", "user:2"))["RateLimit"] == '"requests";r=2;t=20'


async def test_attempts_to_log_in_have_their_own_limit_and_an_account_has_more_of_them():
    limits = make()
    for _ in range(2):
        await limits.take("logins", "address:192.0.2.7")
    error = (await refused(limits, "logins", "address:192.0.2.7")).error
    assert "attempts to log in" in error.message
    for _ in range(20):
        await limits.take("logins", account("me@example.com"), ACCOUNT_COST)
    await refused(limits, "logins", account("ME@example.com"), ACCOUNT_COST)


async def test_replicas_with_a_store_count_together():
    clock = ManualClock()
    store = InMemoryRateStore(clock)
    replicas = [make(clock, store=store) for _ in range(3)]
    for replica in replicas:
        await replica.take("requests", "user:1")
    await refused(replicas[0], "requests", "user:1")


async def test_a_store_that_is_away_leaves_each_replica_its_own_limit():
    class Away:
        async def take(self, *_):
            raise ConnectionError("away")

        adjust = take

    limits = make(store=Away())
    for _ in range(3):
        await limits.take("requests", "user:1")
    await refused(limits, "requests", "user:1")


def test_the_limits_are_in_the_registry_and_an_account_is_not_named():
    registry = Registry()
    make(registry=registry)
    assert sorted(registry.snapshot()) == ["limit.logins", "limit.requests"]
    assert "example" not in account("me@example.com")
