"""The health routes: their shapes, what they cost, and what they tell strangers."""

import asyncio
import json

import pytest

from sengol_api.ops.health import Dependency, Health
from sengol_api.resilience import AdaptiveTimeout, Cache, CircuitBreaker, Registry
from sengol_api.resilience.testing import ManualClock
from support.asgi import Exchange
from support.wire import UNKNOWN_ID

ROUTES = ["/health", "/health/detailed", "/health/ready", "/health/live", "/health/cache", "/health/circuit-breakers"]


class Switch:
    """A dependency that can be away."""

    def __init__(self, error=None) -> None:
        self.error = error
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


def pipelines() -> Registry:
    registry = Registry()
    registry.pipeline("vectorSearch", Cache(max_entries=1000), CircuitBreaker(failure_threshold=2))
    registry.pipeline("llmResponse", Cache(max_entries=500))
    return registry


async def served(make_api, *, database=None, dvecdb=None, stats=None):
    """An application with dependencies of the test's own."""
    registry = pipelines()
    dependencies = [
        Dependency(name="database", check=database or Switch()),
        Dependency(name="dvecdb", check=dvecdb or Switch(), pipeline="vectorSearch"),
        Dependency(name="openai", check=Switch(), stats=stats),
    ]
    return await make_api(registry=registry, health=Health(dependencies, registry, required=["database"]))


async def fail(registry, times):
    async def broken():
        raise ConnectionError("vectors.internal refused")

    for _ in range(times):
        with pytest.raises(ConnectionError):
            await registry["vectorSearch"].call(broken)


async def test_detailed_has_the_guides_shape(make_api):
    api = await served(make_api, stats=lambda: {"tokensToday": 1200, "calls": 4})
    await api.services.registry["vectorSearch"].call(Switch())
    answer = await api.client.get("/health/detailed")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ok"
    assert set(body["checks"]) == {"database", "dvecdb", "openai"}
    assert set(body["checks"]["database"]) == {"status", "responseTime"}
    assert body["checks"]["dvecdb"]["circuitBreaker"]["state"] == "CLOSED"
    assert body["checks"]["dvecdb"]["circuitBreaker"]["failureCount"] == 0
    assert body["checks"]["openai"]["stats"] == {"tokensToday": 1200, "calls": 4}
    assert {name: (cache["size"], cache["maxSize"], cache["hitRate"]) for name, cache in body["cache"].items()} == {
        "vectorSearch": (1, 1000, "0.0%"),
        "llmResponse": (0, 500, "0.0%"),
    }
    assert list(body["circuitBreakers"]) == ["vectorSearch"]
    assert body["responseTime"] >= 0
    assert all(check["responseTime"] >= 0 for check in body["checks"].values())
    assert body["background"] == {}


async def test_a_limit_that_follows_the_latency_is_shown_with_its_dependency(make_api):
    api = await served(make_api)
    assert "timeout" not in (await api.client.get("/health/detailed")).json()["checks"]["dvecdb"]
    clock = ManualClock()
    registry = Registry(clock=clock)
    registry.pipeline("vectorSearch", CircuitBreaker(), AdaptiveTimeout(min_samples=3))

    async def search():
        clock.advance(2.0)

    for _ in range(3):
        await registry["vectorSearch"].call(search)
    health = Health([Dependency(name="dvecdb", check=Switch(), pipeline="vectorSearch")], registry)
    api = await make_api(registry=registry, health=health)
    shown = (await api.client.get("/health/detailed")).json()["checks"]["dvecdb"]["timeout"]
    assert shown.pop("observed") == pytest.approx(2000.0, rel=0.05)
    assert shown.pop("limit") == pytest.approx(4000.0, rel=0.05)
    assert shown == {"samples": 3, "timedOut": 0}


async def test_a_cache_says_how_much_memory_it_may_take(make_api):
    registry = Registry()
    registry.pipeline("bounded", Cache(max_bytes=1000))
    registry.pipeline("free", Cache())
    api = await make_api(registry=registry, health=Health([], registry))
    shown = (await api.client.get("/health/cache")).json()["cache"]
    assert {name: each["maxBytes"] for name, each in shown.items()} == {"bounded": 1000, "free": None}


async def test_a_hit_rate_is_a_share_of_a_hundred(make_api):
    api = await served(make_api)
    registry = api.services.registry
    for key in ("a", "a", "a", "b"):
        await registry["vectorSearch"].call(async_text, key)
    assert (await api.client.get("/health/cache")).json()["cache"]["vectorSearch"]["hitRate"] == "50.0%"


async def async_text(key):
    return key


async def test_an_open_breaker_is_shown_with_its_failures_and_its_next_attempt(make_api):
    api = await served(make_api)
    await fail(api.services.registry, 2)
    shown = (await api.client.get("/health/circuit-breakers")).json()["circuitBreakers"]["vectorSearch"]
    assert (shown["state"], shown["failureCount"], shown["recentFailures"]) == ("OPEN", 2, 2)
    assert 0 < shown["retryAfter"] <= 60
    assert shown["nextAttempt"] > shown["since"]
    body = (await api.client.get("/health/detailed")).json()
    assert (body["status"], body["checks"]["dvecdb"]["status"]) == ("degraded", "degraded")


@pytest.mark.parametrize(("away", "status", "code"), [("dvecdb", "degraded", 200), ("database", "down", 503)])
async def test_the_status_tells_monitors_that_read_no_body_only_what_cannot_be_done_without(make_api, away, status, code):
    api = await served(make_api, **{away: Switch(OSError("canary.internal"))})
    answer = await api.client.get("/health/detailed")
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert answer.json()["checks"][away] | {"responseTime": 0} == {
        "status": "down",
        "responseTime": 0,
        "reason": "failed with OSError",
        **({"circuitBreaker": answer.json()["circuitBreakers"]["vectorSearch"]} if away == "dvecdb" else {}),
    }


async def test_ready_asks_what_is_required_and_nothing_else(make_api):
    dvecdb = Switch(OSError())
    api = await served(make_api, dvecdb=dvecdb)
    answer = await api.client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"], list(answer.json()["checks"])) == (200, "ready", ["database"])
    assert dvecdb.asked == 0


async def test_without_what_is_required_it_is_not_ready(make_api):
    api = await served(make_api, database=Switch(OSError("canary.internal")))
    answer = await api.client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    assert answer.json()["reason"] == "without database"


async def test_neither_health_nor_live_touches_a_dependency(make_api):
    database = Switch()
    api = await served(make_api, database=database)
    for path in ("/health", "/health/live", "/health/cache", "/health/circuit-breakers"):
        assert (await api.client.get(path)).status_code == 200
    assert database.asked == 0


async def test_a_second_caller_within_a_second_is_told_the_same_and_asks_nobody(make_api):
    database = Switch()
    api = await served(make_api, database=database)
    answers = await asyncio.gather(*(api.client.get("/health/detailed") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert database.asked == 1


@pytest.mark.parametrize("path", ROUTES)
async def test_health_needs_no_token_and_no_wish_can_time_it_out(stranger, path):
    headers = {"Authorization": "Bearer nonsense", "X-Request-Timeout-Ms": "-1", "X-Priority": "nonsense"}
    assert (await stranger.client.get(path, headers=headers)).status_code == 200
    assert (await stranger.client.request("HEAD", path)).status_code == 200


async def test_health_is_never_limited(make_api):
    from sengol_api.api.limits import LimitOptions, Limits

    api = await make_api(limits=Limits(LimitOptions(requests_per_minute=1, logins_per_minute=1)))
    for _ in range(5):
        for path in ROUTES:
            assert (await api.client.get(path)).status_code == 200


async def test_strangers_are_told_no_host_no_secret_and_no_error(make_api):
    secret = "postgresql://canary:canary@canary.internal/canary"
    error = ConnectionRefusedError(f"could not connect to {secret}")
    error.__cause__ = RuntimeError(secret)
    api = await served(make_api, database=Switch(error), dvecdb=Switch(error))
    await fail(api.services.registry, 2)
    for path in ROUTES:
        answer = await api.client.get(path)
        assert "canary" not in answer.text
        assert "internal" not in answer.text


async def test_background_work_that_failed_is_shown_without_its_error(make_api):
    api = await served(make_api)

    failed = asyncio.Event()

    async def broken():
        asyncio.get_running_loop().call_soon(failed.set)
        raise RuntimeError("canary")

    api.services.background.run("rebuild", broken)
    await failed.wait()
    work = (await api.client.get("/health/detailed")).json()["background"]["rebuild"]
    await api.services.background.stop()
    assert (work["state"], work["failures"], work["lastError"]) == ("paused", 1, "RuntimeError")


async def test_a_frozen_database_makes_it_not_ready_and_holds_up_nobody_else(make_api):
    """A check that hangs in its clean-up too, as a driver's may whose server is frozen."""
    release = asyncio.Event()

    async def frozen():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    registry = pipelines()
    health = Health([Dependency(name="database", check=frozen, timeout=0.05)], registry, required=["database"])
    api = await make_api(registry=registry, health=health)
    try:
        async with asyncio.timeout(20):
            ready = asyncio.create_task(api.client.get("/health/ready"))
            assert (await api.client.get("/health")).status_code == 200
            assert (await ready).json()["checks"]["database"]["reason"] == "no answer within 50 ms"
    finally:
        release.set()


async def test_the_body_of_every_health_route_is_bare(stranger):
    for path in ROUTES:
        body = json.loads((await Exchange(stranger.app, "GET", path).run()).content)
        assert "success" not in body
        assert "data" not in body


async def test_what_is_not_a_health_route_is_not_found(stranger):
    for path in ("/health/", "/health/database", f"/health/{UNKNOWN_ID}"):
        assert (await stranger.client.get(path)).status_code == 404
