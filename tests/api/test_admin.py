"""What administrators may do, who they are, and what is written down."""

import asyncio
import datetime as dt

import pytest

from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.engine import Database
from sengol_api.ops.steering import Action, Steering
from sengol_api.resilience import Cache, CircuitBreaker, CircuitOpen, CircuitState, Registry
from sengol_api.review.errors import DatabaseError
from support.toys import NOON
from support.wire import assert_error, problems

ADMIN = "admin@example.com"
ROUTES = [
    ("POST", "/admin/circuit-breakers/vectorSearch/reset"),
    ("POST", "/admin/circuit-breakers/vectorSearch/isolate"),
    ("POST", "/admin/circuit-breakers/vectorSearch/enable"),
    ("DELETE", "/admin/cache"),
    ("GET", "/admin/audit"),
]


def pipelines() -> Registry:
    registry = Registry()
    registry.pipeline("vectorSearch", Cache(), CircuitBreaker(failure_threshold=1))
    registry.pipeline("llmResponse", Cache(), CircuitBreaker())
    return registry


@pytest.fixture
async def api(make_api):
    """The application to an administrator."""
    api = await make_api(registry=pipelines())
    api.headers = await api.register(ADMIN)
    await api.services.users.set_role(ADMIN, "admin")
    return api


def breaker(api, name="vectorSearch"):
    return api.services.registry.breakers()[name]


async def order(api, word, name="vectorSearch"):
    return await api.send("POST", f"/admin/circuit-breakers/{name}/{word}")


async def text():
    return "an answer"


# --- who


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_user_may_not_and_nothing_is_done(api, method, path, caplog):
    breaker(api).isolate()
    headers = await api.register("user@example.com")
    answer = await api.client.request(method, path, headers=headers)
    assert_error(answer, "AUTHORIZATION_ERROR")
    assert "sengol-api admin grant" in answer.json()["error"]
    assert breaker(api).state is CircuitState.ISOLATED
    assert await api.services.steering.audit.last_number() == 0
    assert [record.message for record in caplog.records if record.name == "sengol_api.request" and "role" in record.message]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_stranger_is_asked_who_it_is(api, method, path):
    assert_error(await api.client.request(method, path), "AUTHENTICATION_ERROR")


async def test_the_role_is_that_of_the_database_now_and_not_that_of_the_token(api):
    assert (await order(api, "reset")).status_code == 200
    await api.services.users.set_role(ADMIN, "user")
    assert_error(await order(api, "reset"), "AUTHORIZATION_ERROR")
    await api.services.users.set_role(ADMIN, "admin")
    assert (await order(api, "reset")).status_code == 200


async def test_nobody_becomes_an_administrator_by_saying_so(api):
    body = {"email": "sly@example.com", "password": "a long passphrase", "role": "admin"}
    assert problems(await api.client.post("/api/auth/register", json=body)) == {"role": "unknown_field"}


# --- circuit breakers


async def test_an_isolated_breaker_refuses_calls_until_it_is_enabled(api):
    answer = await order(api, "isolate")
    data = answer.json()["data"]
    assert (data["name"], data["circuitBreaker"]["state"], data["act"]) == ("vectorSearch", "ISOLATED", 1)
    with pytest.raises(CircuitOpen):
        await api.services.registry["vectorSearch"].call(text)
    assert (await order(api, "enable")).json()["data"]["circuitBreaker"]["state"] == "CLOSED"
    assert await api.services.registry["vectorSearch"].call(text) == "an answer"


async def test_an_open_breaker_is_closed_by_a_reset_and_not_by_enabling_it(api):
    breaker(api).open_for(60)
    assert (await order(api, "enable")).json()["data"]["circuitBreaker"]["state"] == "OPEN"
    data = (await order(api, "reset")).json()["data"]
    assert (data["circuitBreaker"]["state"], data["circuitBreaker"]["failureCount"]) == ("CLOSED", 0)


async def test_only_the_breaker_that_is_named_is_steered(api):
    await order(api, "isolate")
    assert breaker(api, "llmResponse").state is CircuitState.CLOSED


@pytest.mark.parametrize("name", ["dvecdb", "VectorSearch", "%00", "'; DROP TABLE users; --", "x" * 2000])
async def test_a_breaker_that_is_not_there_is_told_with_those_that_are(api, name):
    answer = await order(api, "isolate", name)
    assert assert_error(answer, "NOT_FOUND")["known"] == ["llmResponse", "vectorSearch"]
    assert await api.services.steering.audit.last_number() == 0


# --- caches


async def filled(api):
    for name in ("vectorSearch", "llmResponse"):
        await api.services.registry[name].call(text)
    return {name: len_of(api, name) for name in ("vectorSearch", "llmResponse")}


def len_of(api, name):
    return api.services.registry[name]["cache"].snapshot().entries


async def test_all_caches_are_emptied_or_the_one_that_is_named(api):
    assert await filled(api) == {"vectorSearch": 1, "llmResponse": 1}
    one = await api.send("DELETE", "/admin/cache?name=vectorSearch")
    assert one.json()["data"]["cleared"] == ["vectorSearch"]
    assert (len_of(api, "vectorSearch"), len_of(api, "llmResponse")) == (0, 1)
    await filled(api)
    both = await api.send("DELETE", "/admin/cache")
    assert both.json()["data"]["cleared"] == ["llmResponse", "vectorSearch"]
    assert (len_of(api, "vectorSearch"), len_of(api, "llmResponse")) == (0, 0)


async def test_a_cache_that_is_not_there_is_told_with_those_that_are(api):
    await filled(api)
    assert assert_error(await api.send("DELETE", "/admin/cache?name=all"), "NOT_FOUND")["known"] == ["llmResponse", "vectorSearch"]
    assert problems(await api.send("DELETE", "/admin/cache?nme=x")) == {"nme": "unknown_field"}
    assert len_of(api, "vectorSearch") == 1


# --- what is written down


async def test_every_act_is_written_down_with_who_what_when_and_result(api, caplog):
    await api.send("POST", "/admin/circuit-breakers/vectorSearch/isolate", **{"X-Request-Id": "find-me"})
    api.clock.now += dt.timedelta(minutes=5)
    await api.send("DELETE", "/admin/cache")
    found = (await api.get("/admin/audit")).json()["data"]
    assert (found["total"], found["page"], found["limit"]) == (2, 1, 20)
    cleared, isolated = found["acts"]
    user = (await api.services.users.find(ADMIN))[0]
    assert isolated == {
        "id": 1,
        "at": "2026-11-24T12:00:00.000Z",
        "actor": ADMIN,
        "actorId": user.id,
        "action": "circuit-breaker.isolate",
        "target": "vectorSearch",
        "result": "done",
        "requestId": "find-me",
    }
    assert (cleared["action"], cleared["target"], cleared["at"]) == ("cache.clear", "", "2026-11-24T12:05:00.000Z")
    lines = [record for record in caplog.records if record.message == "admin act"]
    assert [(record.action, record.target, record.actor) for record in lines] == [
        ("circuit-breaker.isolate", "vectorSearch", user.id),
        ("cache.clear", "", user.id),
    ]


async def test_the_log_is_read_a_page_at_a_time(api):
    for _ in range(3):
        await order(api, "reset")
    second = (await api.get("/admin/audit?page=2&limit=2")).json()["data"]
    assert ([act["id"] for act in second["acts"]], second["total"]) == ([1], 3)


async def test_what_cannot_be_written_down_is_not_done(api, monkeypatch):
    async def full(act):
        raise DatabaseError("The database could not be written to; nothing was changed.")

    monkeypatch.setattr(api.services.steering.audit, "add", full)
    assert_error(await order(api, "isolate"), "DATABASE_ERROR")
    assert breaker(api).state is CircuitState.CLOSED


# --- other processes and replicas


@pytest.fixture
async def replica(api, tmp_path):
    """Another process on the same database, with pipelines of its own."""
    database = Database(f"sqlite:///{tmp_path / 'api.sqlite3'}")
    yield Steering(pipelines(), SqlAuditLog(database), now=lambda: NOON)
    await database.close()


def state_of(steering, name="vectorSearch"):
    return steering._registry.breakers()[name].state


async def test_the_other_processes_follow(api, replica):
    await replica.begin()
    await order(api, "isolate")
    await replica._registry["llmResponse"].call(text)
    await api.send("DELETE", "/admin/cache")
    await replica.follow()
    assert state_of(replica) is CircuitState.ISOLATED
    assert replica._registry["llmResponse"]["cache"].snapshot().entries == 0
    await order(api, "enable")
    await replica.follow()
    assert state_of(replica) is CircuitState.CLOSED


async def test_a_process_that_starts_later_knows_what_still_holds(api, replica):
    await order(api, "isolate")
    await order(api, "isolate", "llmResponse")
    await order(api, "enable", "llmResponse")
    await replica.begin()
    assert state_of(replica) is CircuitState.ISOLATED
    assert state_of(replica, "llmResponse") is CircuitState.CLOSED


async def test_two_orders_that_contradict_each_other_end_the_same_everywhere(api, replica):
    await replica.begin()
    orders = [(api.services.steering, Action.ISOLATE), (replica, Action.RESET)] * 5
    told = {"actor": ADMIN, "actor_id": "1", "request_id": ""}
    await asyncio.gather(*(steering.order(action, "vectorSearch", **told) for steering, action in orders))
    await asyncio.gather(replica.follow(), api.services.steering.follow())
    last = (await replica.audit.page(offset=0, limit=1))[0][0]
    due = CircuitState.ISOLATED if last.action == Action.ISOLATE else CircuitState.CLOSED
    assert (state_of(replica), breaker(api).state) == (due, due)


async def test_an_order_that_cannot_be_carried_out_keeps_none_after_it_from_being_seen(api, replica, monkeypatch, caplog):
    await replica.begin()
    monkeypatch.setattr(replica._registry.breakers()["vectorSearch"], "isolate", lambda: 1 / 0)
    await order(api, "isolate")
    await order(api, "isolate", "llmResponse")
    await replica.follow()
    assert state_of(replica, "llmResponse") is CircuitState.ISOLATED
    assert any("could not be carried out" in record.message for record in caplog.records)


async def test_an_order_stands_though_it_cannot_be_read_back_now(api, monkeypatch):
    read = api.services.steering.audit.since

    async def away(number, *, limit):
        raise DatabaseError("The database could not be read.")

    monkeypatch.setattr(api.services.steering.audit, "since", away)
    assert (await order(api, "isolate")).status_code == 200
    monkeypatch.setattr(api.services.steering.audit, "since", read)
    await api.services.steering.follow()
    assert breaker(api).state is CircuitState.ISOLATED
