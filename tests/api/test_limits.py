"""Limits and overload over HTTP."""

import asyncio
import json
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from sengol_api.api.gate import Gate, GateOptions
from sengol_api.api.limits import LimitOptions, Limits
from sengol_api.api.services import ApiOptions
from sengol_api.resilience import Priority
from support.log_output import log_output
from support.wire import DESCRIPTION

PASSWORD = "a long passphrase"


def limits(requests=3, logins=1000):
    return Limits(LimitOptions(requests_per_minute=requests, logins_per_minute=logins))


async def test_a_user_is_told_where_he_stands_and_then_to_wait(make_api):
    api = await make_api(limits=limits())
    api.headers = await api.register()
    answers = [await api.get("/api/review") for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=2;t=')
    last = answers[-1]
    assert (last.json()["code"], last.headers["ratelimit"].split(";")[1]) == ("RATE_LIMIT_ERROR", "r=0")
    assert int(last.headers["retry-after"]) >= last.json()["metadata"]["retryAfter"] > 0
    other = await api.register("another@example.com")
    assert (await api.client.get("/api/review", headers=other)).status_code == 200


async def test_health_and_documentation_are_never_limited(make_api):
    api = await make_api(limits=limits(requests=1))
    for path in ("/health", "/health/live", "/docs", "/openapi.json"):
        answers = [await api.client.get(path) for _ in range(3)]
        assert {a.status_code for a in answers} == {200}
        assert "ratelimit" not in answers[0].headers


async def test_a_flood_of_made_up_tokens_is_one_address(make_api):
    api = await make_api(limits=limits())
    statuses = [
        (await api.client.get("/api/review", headers={"Authorization": f"Bearer made-up-{n}"})).status_code for n in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]


async def test_a_made_up_forwarded_address_is_not_believed(make_api):
    api = await make_api(limits=limits())
    statuses = [(await api.client.get("/api/review", headers={"X-Forwarded-For": f"192.0.2.{n}"})).status_code for n in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(make_api):
    api = await make_api(limits=limits(), options=ApiOptions(trusted_proxies=(ip_network("127.0.0.1"),)))
    statuses = [(await api.client.get("/api/review", headers={"X-Forwarded-For": f"192.0.2.{n}"})).status_code for n in range(5)]
    assert statuses == [401] * 5


async def test_passwords_cannot_be_tried_without_end_from_one_address_nor_from_many(make_api):
    api = await make_api(limits=limits(logins=3), options=ApiOptions(trusted_proxies=(ip_network("127.0.0.1"),)))

    async def attempt(address, email="victim@example.com"):
        body = {"email": email, "password": PASSWORD}
        return (await api.client.post("/api/auth/login", json=body, headers={"X-Forwarded-For": address})).status_code

    assert [await attempt("192.0.2.1", f"{n}@example.com") for n in range(4)] == [401, 401, 401, 429]
    statuses = [await attempt(f"198.51.100.{n}") for n in range(32)]
    assert statuses == [401] * 30 + [429] * 2


async def test_what_is_too_much_is_refused_early_with_a_wait(make_api):
    release = asyncio.Event()

    async def slow(request, **_):
        await release.wait()
        raise asyncio.CancelledError

    api = await make_api(gate=Gate(GateOptions(least_heavy=1, most_heavy=1, queue=0)), generate=slow)
    api.headers = await api.register()
    review = await api.review()
    path, body = f"/api/review/{review}/generate-questions", {"systemDescription": DESCRIPTION}
    first = asyncio.create_task(api.send("POST", path, body))
    for _ in range(50):
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    refused = await api.send("POST", path, body)
    assert (refused.status_code, refused.json()["code"]) == (503, "OVERLOADED")
    assert int(refused.headers["retry-after"]) >= 1
    stream = await api.send("POST", path, body, Accept="text/event-stream")
    assert b"event: error" in stream.content
    assert b"OVERLOADED" in stream.content
    assert (await api.get("/api/review")).status_code == 200
    assert (await api.client.get("/health")).status_code == 200
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize("wish", ["urgent", "5"])
async def test_a_priority_that_does_not_exist_is_a_problem_of_the_request(api, wish):
    answer = await api.get("/api/review", **{"X-Priority": wish})
    assert (answer.status_code, answer.json()["metadata"]["errors"][0]["path"]) == (400, "X-Priority")


def full_gate() -> Gate:
    """A gate with one place for heavy work, and no line before it."""
    return Gate(GateOptions(least_heavy=1, most_heavy=1, queue=0))


@asynccontextmanager
async def all_places_taken(gate):
    """Somebody holds the one place of heavy work for as long as this lasts."""
    release, inside = asyncio.Event(), asyncio.Event()

    async def hold():
        inside.set()
        await release.wait()

    holder = asyncio.create_task(gate.admit("heavy", Priority.INTERACTIVE, hold))
    await inside.wait()
    yield
    release.set()
    await holder


async def test_an_answer_that_is_at_hand_is_given_while_nothing_new_can_be_made(make_api):
    api = await make_api(gate=(gate := full_gate()))
    api.headers = await api.register()
    review = await api.review()
    await api.generated(review)
    path, body = f"/api/review/{review}/generate-questions", {"systemDescription": DESCRIPTION}
    async with all_places_taken(gate):
        assert (await api.generated(review))["generationMetadata"]["cache"] == "hit"
        stream = await api.send("POST", path, body, Accept="text/event-stream")
        assert b"event: result" in stream.content
        for other in ({**body, "skipCache": True}, {**body, "maxQuestions": 3}):
            refused = await api.send("POST", path, other)
            assert (refused.status_code, refused.json()["code"]) == (503, "OVERLOADED")


async def test_a_body_that_comes_slowly_holds_no_place(make_api):
    api = await make_api(gate=full_gate())
    api.headers = await api.register()
    review = await api.review()
    path, headers = f"/api/review/{review}/generate-questions", {"Content-Type": "application/json", **api.headers}
    more = asyncio.Event()

    async def dripping():
        yield b'{"systemDescription": '
        await more.wait()
        yield json.dumps(DESCRIPTION).encode() + b"}"

    slow = asyncio.create_task(api.client.post(path, content=dripping(), headers=headers))
    await asyncio.sleep(0.05)
    await api.generated(review, maxQuestions=3)
    more.set()
    assert (await slow).status_code == 200


async def test_refusals_are_counted_but_leave_no_line_each(make_api):
    api = await make_api(gate=(gate := full_gate()), limits=limits(requests=4))
    api.headers = await api.register()
    path, body = f"/api/review/{await api.review()}/generate-questions", {"systemDescription": DESCRIPTION}
    async with all_places_taken(gate):
        with log_output() as output:
            answers = [await api.send("POST", path, body) for _ in range(4)]
            lines = [line for line in output.lines if line["logger"] == "sengol_api.request"]
    assert [answer.status_code for answer in answers] == [503, 503, 503, 429]
    assert lines == []
    told = (await api.client.get("/metrics")).text
    assert 'sengol_http_errors_total{code="OVERLOADED"} 3' in told
    assert 'sengol_http_errors_total{code="RATE_LIMIT_ERROR"} 1' in told
