"""What clients are told when the process stops while they are being answered."""

import asyncio
import json

import pytest

from sengol_api.api.app import create_app
from sengol_api.api.in_flight import ENDLESS, InFlight
from sengol_api.ops.drain import Drain, Phase
from sengol_api.review.generated import Progress
from support.asgi import Exchange
from support.wire import DESCRIPTION, assert_error, events


class Work:
    """The main job that goes on until it is told to end, or longer."""

    def __init__(self, *, swallows=False) -> None:
        self.started = asyncio.Event()
        self.cancelled = False
        self._swallows = swallows

    async def __call__(self, request, *, on_progress=lambda _: None, **_):
        on_progress(Progress("areas", 1, 2))
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            if not self._swallows:
                raise
        raise RuntimeError("the work was interrupted")


async def asked(api, **headers) -> Exchange:
    """The main job, asked for and not yet begun."""
    given = {"Content-Type": "application/json", **api.headers, **headers}
    body = json.dumps({"systemDescription": DESCRIPTION}).encode()
    return api.exchange("POST", f"/api/review/{await api.review()}/generate-questions", list(given.items()), [body])


async def interrupted(make_api, work, **headers) -> tuple[Exchange, Drain]:
    """The main job in the middle of which the process stops."""
    api = await make_api(generate=work, drain=(drain := Drain(timeout=0)))
    api.headers = await api.register()
    call = await asked(api, **headers)
    answering = asyncio.create_task(call.run())
    await work.started.wait()
    stopping = asyncio.create_task(drain.run(lambda: None, lambda: None))
    async with asyncio.timeout(20):
        await answering
    await drain.closed()
    await stopping
    return call, drain


async def test_a_request_whose_time_is_over_is_told_where_to_go_and_its_work_ends(make_api):
    call, drain = await interrupted(make_api, work := Work())
    body = json.loads(call.content)
    assert (call.status, body["code"], body["statusCode"]) == (503, "SHUTTING_DOWN", 503)
    assert body["metadata"] == {"retryAfter": 1}
    assert body["requestId"] == call.headers["x-request-id"]
    assert (call.headers["retry-after"], call.headers["connection"]) == ("1", "close")
    assert work.cancelled
    assert drain.snapshot().cut == 1


async def test_a_stream_whose_time_is_over_ends_with_an_event_that_says_so(make_api):
    call, _ = await interrupted(make_api, work := Work(), Accept="text/event-stream")
    told = events(call.content)
    assert [name for name, _ in told] == ["progress", "error"]
    assert (told[-1][1]["code"], told[-1][1]["metadata"]) == ("SHUTTING_DOWN", {"retryAfter": 1})
    assert told[-1][1]["requestId"] == call.headers["x-request-id"]
    assert call.sent[-1]["more_body"] is False
    assert work.cancelled


async def test_work_that_makes_a_fault_of_its_cancellation_is_answered_once(make_api):
    call, _ = await interrupted(make_api, Work(swallows=True))
    starts = [message for message in call.sent if message["type"] == "http.response.start"]
    assert len(starts) == 1
    assert json.loads(call.content)["code"] in {"INTERNAL_ERROR", "SHUTTING_DOWN"}


async def test_what_comes_when_the_time_is_over_is_not_begun(make_api):
    api = await make_api(drain=(drain := Drain(timeout=0)))
    drain.phase = Phase.CUTTING
    metadata = assert_error(await api.client.get("/health"), "SHUTTING_DOWN")
    assert metadata == {"retryAfter": 1}


async def test_while_it_drains_requests_are_answered_and_connections_are_not_kept(api):
    before = await api.get("/api/review")
    api.services.drain.begin()
    during = await api.get("/api/review")
    assert (before.status_code, during.status_code) == (200, 200)
    assert "connection" not in before.headers
    assert during.headers["connection"] == "close"


async def test_it_is_not_ready_from_the_first_moment_and_alive_to_the_last(stranger):
    assert (await stranger.client.get("/health/ready")).json()["status"] == "ready"
    stranger.services.drain.begin()
    ready = await stranger.client.get("/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "not_ready", "reason": "it is stopping"})
    assert (await stranger.client.get("/health/live")).status_code == 200
    assert (await stranger.client.get("/health")).status_code == 200


async def test_before_the_start_and_after_the_end_a_request_is_told_to_go_elsewhere():
    app = create_app(lambda: None)
    for path in ("/health/ready", "/api/review"):
        call = await Exchange(app, "GET", path).run()
        assert (call.status, json.loads(call.content)["code"]) == (503, "SHUTTING_DOWN")


# --- the middleware alone


def around(app, drain=None) -> InFlight:
    drain = drain or Drain()
    return InFlight(app, lambda: drain)


def request(app) -> Exchange:
    call = Exchange(app, "GET", "/")
    call._scope["state"] = {"request_id": "find-me"}
    return call


async def start(send, kind=b"application/json") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})


async def test_an_endless_stream_is_told_before_the_others():
    drain, begun = Drain(timeout=1000), asyncio.Event()

    async def endless(scope, receive, send):
        scope["state"][ENDLESS] = True
        await start(send, b"text/event-stream")
        begun.set()
        await asyncio.Event().wait()

    call = request(around(endless, drain))
    answering = asyncio.create_task(call.run())
    await begun.wait()
    stopping = asyncio.create_task(drain.run(lambda: None, lambda: None))
    async with asyncio.timeout(10):
        await answering
    assert drain.phase is Phase.STOPPING
    assert [(name, data["code"]) for name, data in events(call.content)] == [("error", "SHUTTING_DOWN")]
    await drain.closed()
    await stopping


async def test_a_cancellation_by_somebody_else_is_passed_on_and_nothing_is_said():
    async def waits(scope, receive, send):
        await asyncio.Event().wait()

    drain = Drain()
    call = request(around(waits, drain))
    task = asyncio.create_task(call.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.sent == []
    assert drain.snapshot().in_flight == 0


async def test_an_answer_that_was_given_before_the_cut_came_stays_the_only_one():
    drain = Drain()

    async def answers(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"{}"})
        drain._tell(next(iter(drain._tickets)))

    call = request(around(answers, drain))
    task = asyncio.create_task(call.run())
    await task
    assert task.cancelling() == 0
    assert [message["type"] for message in call.sent] == ["http.response.start", "http.response.body"]
    assert call.content == b"{}"


async def test_a_plain_answer_in_its_middle_is_broken_off_so_that_nobody_takes_it_for_whole():
    drain = Drain()

    async def answers(scope, receive, send):
        await start(send)
        await send({"type": "http.response.body", "body": b"[1, ", "more_body": True})
        drain._tell(next(iter(drain._tickets)))
        await asyncio.Event().wait()

    with pytest.raises(ConnectionAbortedError):
        await request(around(answers, drain)).run()


async def test_after_a_cut_the_connection_can_be_used_by_the_server_again():
    """The task belongs to the server: a cancellation that is left in it would kill whatever the server does next."""
    drain = Drain()

    async def waits(scope, receive, send):
        drain._tell(next(iter(drain._tickets)))
        await asyncio.Event().wait()

    async def server():
        call = await request(around(waits, drain)).run()
        await asyncio.sleep(0)
        return call.status, asyncio.current_task().cancelling()

    assert await asyncio.create_task(server()) == (503, 0)
