"""Canaries in every input, and a search for them in all that the service writes and sends: logs at debug, spans, metrics."""

import asyncio

import httpx2
import openai
import pytest
import sqlalchemy as sa

from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.tracing import start_tracing
from sengol_api.resilience import Cache, CircuitBreaker, Fallback, Pipeline, Registry, Retry, TierFailed, Timeout
from sengol_api.review.errors import DatabaseError, LLMError
from support.log_output import log_output
from support.otlp import Collector
from support.tiny_http import Reply, TinyHttp
from support.wire import DESCRIPTION

CANARY = "canary7f3a"
EMAIL, PASSWORD, KEY = f"{CANARY}@example.com", f"{CANARY} long passphrase", f"sk-{CANARY}"

HEADERS = (
    "X-Request-Timeout-Ms X-Request-Id X-Priority X-Forwarded-For If-Match Content-Type User-Agent Cookie Host Origin Referer "
    "Forwarded traceparent tracestate baggage"
).split()


class Collected:
    """An application, and all that comes out of it but its answers."""

    def __init__(self, api, output, collector) -> None:
        self.api, self._output, self._collector = api, output, collector

    async def everything(self) -> str:
        metrics = (await self.api.client.get("/metrics")).text
        if (tracer := self.api.telemetry.tracer) is not None:
            await tracer.close()
        return self._output.text + metrics + "".join(map(repr, self._collector.raw))


@pytest.fixture
async def collected(make_api, monkeypatch):
    """Makes the application with services of the test, logging everything at debug and tracing everything."""
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)

    async def make(**services):
        telemetry = Telemetry(tracer=start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}))
        api = await make_api(telemetry=telemetry, **services)
        api.telemetry = telemetry
        return Collected(api, output, collector)

    with log_output("debug") as output:
        yield make
    collector.close()


async def sign_up(api):
    answer = await api.client.post(
        "/api/auth/register", json={"email": EMAIL, "password": PASSWORD, "name": CANARY, "company": CANARY}
    )
    token = answer.json()["data"]["token"]
    api.headers = {"Authorization": f"Bearer {token}"}
    return token


async def ask_everything(api):
    """Every route with canaries wherever a client can put one, right and wrong."""
    token = await sign_up(api)
    client = api.client
    await client.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
    await client.post("/api/auth/login", json={"email": EMAIL, "password": f"{PASSWORD}x"})
    await client.get("/api/review", headers={"Authorization": f"Bearer {token}{CANARY}"})
    await client.get("/api/review", headers={"Authorization": f"Basic {CANARY}"})
    review = (await api.send("POST", "/api/review", {"name": CANARY})).json()["data"]["id"]
    path = f"/api/review/{review}"
    for body in (
        {"systemDescription": f"{DESCRIPTION} {CANARY}", "industry": CANARY, "customTech": [CANARY]},
        {"systemDescription": f"{CANARY}\x00 is wrong here"},
        {"systemDescription": DESCRIPTION, CANARY: 1},
        {"systemDescription": [CANARY]},
        f'{{"systemDescription": "{CANARY}'.encode(),
        CANARY.encode("utf-16"),
    ):
        for accept in ("application/json", "text/event-stream", CANARY):
            await api.send("POST", f"{path}/generate-questions", body, Accept=accept)
    for method, where, body in (
        ("POST", "/api/incidents/search", {"query": CANARY, "filter": {"industry": CANARY}}),
        ("POST", "/api/incidents/search/batch", {"queries": [CANARY, DESCRIPTION]}),
        ("PUT", f"{path}/answers", {CANARY: "addressed"}),
        ("PUT", f"{path}/save-questions", {"riskQuestions": [{"id": CANARY}]}),
        ("GET", f"/api/review/{CANARY}?page={CANARY}&{CANARY}=1", None),
        ("GET", f"/{CANARY}/{CANARY}?{CANARY}", None),
        (CANARY.upper(), "/api/review", None),
        ("OPTIONS", f"/{CANARY}", None),
        ("DELETE", path, None),
    ):
        await api.send(method, where, body)
    for header in HEADERS:
        await api.send("POST", "/api/review", {}, **{header: f"!{CANARY}"})
    return token


async def test_nothing_that_a_client_sends_is_written_down(collected):
    found = await collected()
    token = await ask_everything(found.api)
    text = await found.everything()
    assert "/api/review/{id}/generate-questions" in text
    assert CANARY not in text.lower()
    assert token.rpartition(".")[2] not in text


def misused(prompt):
    try:
        {}[prompt]
    except KeyError as error:
        error.add_note(prompt)
        raise ValueError(f"cannot use {prompt!r}") from error


def chained():
    """An error as deep in trouble as they come, every text of it a canary."""
    with pytest.raises(ValueError, match=CANARY) as failure:
        misused(CANARY)
    return ExceptionGroup(CANARY, [failure.value, OSError(5, CANARY, CANARY), RuntimeError({"prompt": CANARY})])


class Broken:
    """A store or a use case that fails whatever it is asked."""

    def __init__(self, make_error) -> None:
        self._make_error = make_error

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        async def fail(*_, **__):
            raise self._make_error()

        return fail

    async def __call__(self, *_, **__):
        raise self._make_error()


def in_sql():
    """What a database without ``hide_parameters`` says of a row that it has already."""
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x TEXT UNIQUE)")
        row = sa.text("INSERT INTO t VALUES (:x)"), {"x": CANARY}
        connection.execute(*row)
        with pytest.raises(sa.exc.IntegrityError, match=CANARY) as failure:
            connection.execute(*row)
    engine.dispose()
    failed = DatabaseError("The database could not be written to; nothing was changed.")
    failed.__cause__ = failure.value
    return failed


@pytest.mark.parametrize("make_error", [chained, in_sql, lambda: RuntimeError(CANARY), lambda: TimeoutError(CANARY)])
@pytest.mark.parametrize("service", ["reviews", "generate", "users"])
async def test_nothing_that_an_error_says_is_written_down(collected, make_api, make_error, service):
    well = await make_api()
    token = await sign_up(well)
    found = await collected(**{service: Broken(make_error)})
    api = found.api
    api.headers = {"Authorization": f"Bearer {token}"}
    review = (await well.client.post("/api/review", json={}, headers=api.headers)).json()["data"]["id"]
    await api.get("/api/review")
    for accept in ("application/json", "text/event-stream"):
        await api.send("POST", f"/api/review/{review}/generate-questions", {"systemDescription": DESCRIPTION}, Accept=accept)
    text = await found.everything()
    assert '"exception"' in text
    assert CANARY not in text.lower()


class Vendor:
    """The main job over a real client of a model, under every policy that tells something; all that the vendor says is a canary."""

    def __init__(self, url: str, registry: Registry) -> None:
        self._client = openai.AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0)
        self._pipeline = registry.add(
            Pipeline(
                f"model of {url.rpartition(':')[2]}",
                Fallback({"smaller": self._fail}),
                Cache(key=lambda prompt: prompt, stale_if_error=60.0),
                Retry(initial_delay=0.001, max_retries=2, retry_on=openai.APIError),
                CircuitBreaker(failure_threshold=2, failure_on=openai.APIError),
                Timeout(5.0),
            )
        )

    async def close(self):
        await self._client.close()

    async def _fail(self, prompt):
        raise RuntimeError(f"no answer to {prompt}")

    async def _ask(self, prompt):
        return await self._client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": prompt}], extra_headers={"X-Canary": CANARY}
        )

    async def __call__(self, request, **_):
        try:
            return await self._pipeline.call(self._ask, f"{request.description} {CANARY}")
        except Exception as error:
            raise LLMError("The model failed.") from error


@pytest.mark.parametrize("status", [400, 401, 429, 500, 200])
async def test_nothing_that_a_vendor_says_is_written_down(collected, status):
    body = b'{"error": {"message": "%(c)s", "code": "%(c)s", "type": "%(c)s", "param": "%(c)s"}}' % {b"c": CANARY.encode()}
    server = TinyHttp(lambda *_: Reply(status, b"<html>" + body if status == 200 else body, headers={"x-request-id": CANARY}))
    registry = Registry()
    vendor = Vendor(f"{server.url}/v1", registry)
    found = await collected(generate=vendor, registry=registry)
    api = found.api
    await sign_up(api)
    review = await api.review()
    for _ in range(3):
        await api.send("POST", f"/api/review/{review}/generate-questions", {"systemDescription": f"{DESCRIPTION} {CANARY}"})
    text = await found.everything()
    await vendor.close()
    server.close()
    assert "model of" in text
    assert CANARY not in text.lower()
    assert KEY not in text


async def test_nothing_that_fails_in_the_background_is_written_down(collected):
    found = await collected()
    registry = found.api.services.registry

    class Tier:
        async def fail(self, *_):
            raise ConnectionError(f"redis://:{CANARY}@host")

        get = set = delete = clear = fail

    cached = registry.pipeline("cached", Cache(key=str, tier=Tier()))
    told = []
    cached.subscribe(told.append, TierFailed)

    async def work(prompt):
        return prompt

    await cached.call(work, CANARY)
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda prompt: 1 / 0, CANARY)

    async def fail():
        raise RuntimeError(f"could not reach https://{CANARY}")

    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0.05)
    del task
    async with httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get(f"http://127.0.0.1:1/{CANARY}?key={CANARY}", headers={"Authorization": CANARY})
    text = await found.everything()
    assert told
    assert "fault in the background" in text
    assert CANARY not in text
