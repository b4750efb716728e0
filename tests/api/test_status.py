"""``/status``: its files and their policy, and its stream to viewers who come, stay, are slow and go."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from sengol_api.api.services import ApiOptions
from sengol_api.api.status import page, stream
from sengol_api.ops.drain import Drain
from sengol_api.ops.status.sampler import Sampler
from sengol_api.resilience import Cache, CircuitBreaker, Registry
from sengol_api.resilience.testing import ManualClock, run_virtual
from support.asgi import Exchange
from support.log_output import log_output
from support.wire import assert_error, events

PATHS = [page.path_of(file) for file in page.FILES]


def registry() -> Registry:
    made = Registry()
    made.pipeline("vectorSearch", Cache(), CircuitBreaker(failure_threshold=1))
    return made


@asynccontextmanager
async def looking(api, *headers):
    """An open stream, until the block ends."""
    call = api.exchange("GET", "/status/stream", headers)
    task = asyncio.create_task(call.run())
    try:
        yield call
    finally:
        call.leave()
        async with asyncio.timeout(20):
            await task


async def told(call) -> dict:
    """The first sample of a stream."""
    async with asyncio.timeout(20):
        while b"event: status" not in call.content:
            call.news.clear()
            await call.news.wait()
    return samples(call)[0]


def samples(call) -> list[dict]:
    return [data for name, data in events(call.content.removeprefix(b"retry: 2000\n\n")) if name == "status"]


# --- the files


@pytest.mark.parametrize("path", PATHS)
async def test_every_file_is_served_under_the_strictest_policy(stranger, path):
    answer = await stranger.client.get(path)
    assert answer.status_code == 200
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert (policy["require-trusted-types-for"], policy["trusted-types"]) == ("'script'", "'none'")
    assert "unsafe" not in answer.headers["content-security-policy"]
    kind = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.headers["content-type"].partition(";")[0] == kind[path.rpartition(".")[2] if "." in path else "html"]


async def test_the_page_asks_for_nothing_from_elsewhere_and_has_nothing_inline(stranger):
    html = (await stranger.client.get("/status")).text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", html)
    asked = set(re.findall(r'(?:src|href)="([^"]+)"', html))
    for path in PATHS[1:]:
        text = (await stranger.client.get(path)).text
        assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w-]+\.", text), path
        asked |= {f"/status/{name}" for name in re.findall(r'from "\./([^"]+)"', text)}
    assert asked >= set(PATHS) - {"/status"}
    for path in asked - {"/metrics", "/health/detailed", "/health/circuit-breakers", "/docs"}:
        assert path in PATHS


async def test_no_script_makes_markup_from_text_or_keeps_anything(stranger):
    for path in PATHS:
        if path.endswith(".js"):
            text = (await stranger.client.get(path)).text
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Storage|document\.cookie", text), (
                path
            )


@pytest.mark.parametrize("path", [*PATHS, "/status/stream"])
async def test_only_reading_is_a_method(stranger, path):
    assert_error(await stranger.client.post(path), "METHOD_NOT_ALLOWED")


# --- the stream


async def test_a_viewer_is_told_at_once_and_without_a_token(make_api):
    api = await make_api(registry=registry())
    async with looking(api) as call:
        sample = await told(call)
    assert call.status == 200
    assert call.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (call.headers["cache-control"], call.headers["x-accel-buffering"]) == ("no-store", "no")
    assert (sample["status"], sample["problems"]) == ("ok", [])
    assert [each["name"] for each in sample["dependencies"]] == ["database", "vectorSearch"]
    assert [each["name"] for each in sample["caches"]] == ["vectorSearch"]
    assert sample["workers"][0]["state"] == "answered"


async def test_a_breaker_that_opened_is_told_with_its_history(make_api):
    api = await make_api(registry=registry())

    async def refused():
        raise ConnectionError("canary-host.example.com refused")

    with pytest.raises(ConnectionError):
        await api.services.registry["vectorSearch"].call(refused)
    async with looking(api) as call:
        sample = await told(call)
    (card,) = [each for each in sample["dependencies"] if each["name"] == "vectorSearch"]
    assert card["breaker"]["state"] == "OPEN"
    (change,) = card["breaker"]["changes"]
    assert (change["previous"], change["state"], change["error"]) == ("CLOSED", "OPEN", "ConnectionError")
    assert sample["status"] == "degraded"
    assert "canary" not in call.content.decode()


async def test_nothing_that_users_write_and_no_address_is_on_it(make_api):
    api = await make_api(registry=registry())
    api.headers = await api.register("canary-address@example.com")
    review = await api.review(name="canary-name")
    await api.generated(review, systemDescription="A canary-description of a chatbot that answers patients from documents.")
    async with looking(api, ("X-Forwarded-For", "203.0.113.77")) as call:
        await told(call)
    content = call.content.decode()
    assert not re.search(r"canary|127\.0\.0\.1|203\.0\.113|sqlite|" + review, content)


async def test_it_is_open_like_metrics_and_neither_counted_nor_let_in(make_api):
    class Never:
        def __getattr__(self, name):
            raise AssertionError(f"{name} was asked")

    api = await make_api(registry=registry(), limits=Never(), gate=Never(), options=ApiOptions(request_timeout=1))
    async with looking(api, ("X-Request-Timeout-Ms", "1")) as call:
        await told(call)
    assert call.status == 200


async def test_who_comes_when_all_places_are_taken_is_told_to_wait_and_the_rest_go_on(make_api, monkeypatch):
    monkeypatch.setattr(stream, "sampler_of", lambda host: None)
    api = await make_api()

    async def sample():
        return b"event: status\ndata: {}\n\n"

    route = stream.StatusStream(Sampler(sample, most_of_one=1), lambda: None)

    async def app(scope, receive, send):
        scope.setdefault("state", {"request_id": "find-me"})
        await route(scope, receive, send)

    api.app = app
    async with looking(api) as first:
        await told(first)
        second = await api.exchange("GET", "/status/stream").run()
        assert (second.status, json.loads(second.content)["code"]) == (503, "OVERLOADED")
        assert second.headers["retry-after"] == "10"
        assert len(first.sent) > 1
    async with looking(api) as third:
        await told(third)


async def test_when_the_last_viewer_leaves_nothing_is_left_running(make_api):
    api = await make_api()
    before = len(asyncio.all_tasks())
    async with looking(api) as call:
        await told(call)
        assert len(asyncio.all_tasks()) > before
    await asyncio.sleep(0)
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"sampler of the status page"})


async def test_viewers_are_told_when_the_process_stops_and_do_not_hold_it(make_api):
    api = await make_api(drain=(drain := Drain(timeout=1000)))
    call = api.exchange("GET", "/status/stream")
    looks = asyncio.create_task(call.run())
    await told(call)
    stopping = asyncio.create_task(drain.run(lambda: None, lambda: None))
    async with asyncio.timeout(20):
        await looks
    assert events(call.content.removeprefix(b"retry: 2000\n\n"))[-1][1]["code"] == "SHUTTING_DOWN"
    assert call.sent[-1]["more_body"] is False
    await drain.closed()
    await stopping


async def test_an_hour_on_the_stream_is_no_slow_request(make_api, monkeypatch):
    clock = ManualClock()
    monkeypatch.setattr("sengol_api.api.middleware.time", SimpleNamespace(perf_counter=clock.now))
    with log_output() as output:
        api = await make_api(options=ApiOptions(slow_request=5000))
        async with looking(api) as call:
            await told(call)
            clock.advance(3600)
        assert [line for line in output.lines if line["logger"] == "sengol_api.request"] == []
    metrics = (await api.client.get("/metrics")).text
    assert 'sengol_http_request_duration_seconds_sum{method="GET",route="/status/stream"} 0\n' in metrics


# --- the stream alone, on virtual time


class Held(Exchange):
    """A client that takes nothing after its first so many parts."""

    def __init__(self, app, *, takes: int) -> None:
        super().__init__(app, "GET", "/status/stream")
        self._scope["state"] = {"request_id": "find-me"}
        self._takes = takes

    async def _send(self, message):
        if len(self.sent) >= self._takes:
            await asyncio.Event().wait()
        await super()._send(message)


def made(take, **options):
    sampler = Sampler(take)
    return sampler, stream.StatusStream(sampler, lambda: None, **options)


async def number() -> bytes:
    return b"event: status\ndata: {}\n\n"


def test_who_takes_nothing_for_half_a_minute_loses_its_place():
    async def main(loop):
        sampler, route = made(number)
        started = loop.time()
        await Held(route, takes=3).run()
        assert sampler.viewers == 0
        assert 29 < loop.time() - started < 40

    run_virtual(main)


def test_while_there_is_no_sample_a_beat_says_that_the_connection_stands():
    async def never() -> bytes:
        await asyncio.Event().wait()

    async def main(loop):
        _, route = made(never)
        call = Held(route, takes=10_000)
        task = asyncio.create_task(call.run())
        await asyncio.sleep(35)
        call.leave()
        await task
        assert call.content == b"retry: 2000\n\n" + 3 * b"event: beat\ndata: {}\n\n"

    run_virtual(main)


def test_a_viewer_that_goes_in_the_middle_frees_its_place():
    async def main(loop):
        sampler, route = made(number)
        call = Held(route, takes=10_000)
        task = asyncio.create_task(call.run())
        await asyncio.sleep(7)
        assert sampler.viewers == 1
        call.leave()
        await task
        assert (sampler.viewers, sampler.working) == (0, False)
        assert call.content.count(b"event: status") == 4

    run_virtual(main)
