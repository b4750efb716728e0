"""What goes wrong while the work is streamed: an error event, or a client that goes away."""

import asyncio
import json
import logging

import pytest

from sengol_api.review.errors import VectorDBError
from sengol_api.review.generated import Progress
from support.wire import DESCRIPTION, events


class Work:
    """The main job as a test wants it: it tells a step, then waits, fails or both."""

    def __init__(self, fault: Exception | None = None, *, waits: bool = False) -> None:
        self.fault, self.waits = fault, waits
        self.started, self.cancelled = asyncio.Event(), asyncio.Event()

    async def __call__(self, request, *, user_id=None, on_progress=lambda _: None, skip_cache=False):
        on_progress(Progress("areas", 1, 2))
        self.started.set()
        try:
            if self.waits:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise self.fault


async def exchange(make_api, work, spec_version="2.3", **headers):
    api = await make_api(generate=work)
    api.headers = await api.register()
    review = await api.review()
    given = {"Content-Type": "application/json", "Accept": "text/event-stream", **api.headers, **headers}
    body = json.dumps({"systemDescription": DESCRIPTION}).encode()
    path = f"/api/review/{review}/generate-questions"
    return api.exchange("POST", path, list(given.items()), [body], spec_version)


async def test_a_failure_is_the_last_event_in_the_shape_of_errors(make_api):
    call = await (await exchange(make_api, Work(VectorDBError("The index is gone.", retry_after=3)))).run()
    told = events(call.content)
    assert [name for name, _ in told] == ["progress", "error"]
    assert told[-1][1] == {
        "error": "The index is gone.", "code": "VECTORDB_ERROR", "statusCode": 503, "metadata": {"retryAfter": 3},
        "requestId": call.headers["x-request-id"],
    }  # fmt: skip


async def test_a_fault_is_an_event_that_leaks_nothing_and_a_line_in_the_log(make_api, caplog):
    call = await (await exchange(make_api, Work(RuntimeError("key sk-canary")))).run()
    name, error = events(call.content)[-1]
    assert (name, error["code"], error["statusCode"]) == ("error", "INTERNAL_ERROR", 500)
    assert b"canary" not in call.content
    faults = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(faults) == 1
    assert faults[0].exc_info


async def test_the_deadline_ends_a_stream_with_an_event(make_api):
    work = Work(waits=True)
    call = await (await exchange(make_api, work, **{"X-Request-Timeout-Ms": "300"})).run()
    name, error = events(call.content)[-1]
    assert (name, error["code"], error["metadata"]) == ("error", "TIMEOUT_ERROR", {"deadlineMs": 300})
    assert work.cancelled.is_set()


async def test_a_client_that_goes_away_cancels_the_work(make_api, caplog):
    work = Work(waits=True)
    call = await exchange(make_api, work)
    task = asyncio.create_task(call.run())
    async with asyncio.timeout(10):
        await work.started.wait()
        call.leave()
        await task
        await work.cancelled.wait()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_client_that_goes_away_is_no_fault_of_ours(make_api, caplog, spec_version):
    call = await exchange(make_api, Work(VectorDBError("unheard")), spec_version)
    call.leave()
    async with asyncio.timeout(10):
        await call.run()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_client_that_goes_away_before_its_body_came_is_no_fault_of_ours(make_api, caplog, spec_version):
    call = await exchange(make_api, Work(VectorDBError("unheard")), spec_version)
    call._body.clear()
    call.leave()
    async with asyncio.timeout(10):
        await call.run()
    assert not call.content.startswith(b"event")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
