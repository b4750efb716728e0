"""The application is plain ASGI: another server serves it as well, over a real socket."""

import asyncio
import socket

import httpx2
import pytest
import uvicorn

from support.wire import DESCRIPTION, UNKNOWN_ID, assert_error, events


@pytest.fixture
async def served(api):
    """The address of a uvicorn around the application; its stop is awaited."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # The fixture has opened the services already, so the server leaves the lifespan alone.
        config = uvicorn.Config(api.app, lifespan="off", log_config=None, ws="none")
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(20):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


async def test_the_whole_journey_works_under_uvicorn(api, served):
    async with httpx2.AsyncClient(base_url=served, headers=api.headers) as client:
        assert (await client.get("/health")).json()["status"] == "ok"
        review = (await client.post("/api/review", json={"name": "x"})).json()["data"]["id"]
        path = f"/api/review/{review}"
        body = {"systemDescription": DESCRIPTION}
        streamed = await client.post(f"{path}/generate-questions", json=body, headers={"Accept": "text/event-stream"})
        told = events(streamed.content)
        assert told[-1][0] == "result"
        questions = {name: told[-1][1]["data"][name] for name in ("riskQuestions", "complianceQuestions")}
        assert (await client.put(f"{path}/save-questions", json=questions)).status_code == 200
        first = questions["riskQuestions"][0]["id"]
        assert (await client.put(f"{path}/answers", json={first: "addressed"})).status_code == 200
        assert (await client.get(f"{path}/score")).json()["data"]["score"] > 0
        assert_error(await client.get(f"/api/review/{UNKNOWN_ID}"), "NOT_FOUND")
        assert_error(await client.request("PATCH", "/api/review"), "METHOD_NOT_ALLOWED")


async def test_a_body_that_is_too_large_is_refused_under_uvicorn_with_and_without_its_length(api, served):
    async def parts():
        for _ in range(40):
            yield b" " * 65_536

    async with httpx2.AsyncClient(base_url=served, headers={**api.headers, "Content-Type": "application/json"}) as client:
        for content in (b" " * (1024 * 1024 + 1), parts()):
            assert_error(await client.post("/api/review", content=content), "PAYLOAD_TOO_LARGE")
