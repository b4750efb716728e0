"""A client that goes away takes its work with it."""

import asyncio
import json

from support.wire import DESCRIPTION


async def test_a_client_of_a_plain_answer_that_goes_away_cancels_the_work(make_api):
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def endless(request, **_):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    api = await make_api(generate=endless)
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    headers = {"Content-Type": "application/json", **api.headers}
    call = api.exchange("POST", path, list(headers.items()), [json.dumps({"systemDescription": DESCRIPTION}).encode()])
    task = asyncio.create_task(call.run())
    try:
        await started.wait()
        call.leave()
        async with asyncio.timeout(5):
            await cancelled.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
