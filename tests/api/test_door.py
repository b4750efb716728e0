"""What is refused at the door, over HTTP."""

import asyncio
import json
from types import SimpleNamespace

from sengol_api.api.gate import Gate, GateOptions
from sengol_api.api.services import ApiOptions
from sengol_api.ops.drain import Drain
from sengol_api.resilience import Priority, current_priority
from support.wire import DESCRIPTION


def crowded_gate(**line):
    """A gate whose line is always crowded, or as the test says."""
    gate = Gate(GateOptions())
    given = {"overloaded": True, "crowded": lambda level, yields: True, "shed": gate.heavy_line.shed}
    gate.heavy_line = SimpleNamespace(**{**given, **line})
    return gate


async def test_who_is_refused_gets_all_that_an_answer_has(make_api):
    gate = Gate(GateOptions())
    api = await make_api(gate=gate, options=ApiOptions(origins=("https://app.example.com",)))
    api.headers = await api.register()
    path = f"/api/review/{await api.review()}/generate-questions"
    gate.heavy_line = crowded_gate().heavy_line
    for kind in ("application/json", "text/event-stream"):
        head = {"Accept": kind, "Origin": "https://app.example.com", "X-Request-Id": "mine"}
        answer = await api.send("POST", path, {"systemDescription": DESCRIPTION}, **head)
        assert (answer.status_code, answer.json()["code"], answer.json()["requestId"]) == (503, "OVERLOADED", "mine")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert answer.headers["x-content-type-options"] == "nosniff"
    told = (await api.client.get("/metrics")).text
    assert 'sengol_http_errors_total{code="OVERLOADED"} 2' in told
    assert 'route="/api/review/{id}/generate-questions"' in told
    assert (await api.get("/api/review")).status_code == 200


async def test_an_answer_that_is_kept_is_given_all_the_same_also_to_another_review(make_api):
    gate = Gate(GateOptions())
    api = await make_api(gate=gate)
    api.headers = await api.register()
    first, second = await api.review(), await api.review()
    await api.generated(first)
    gate.heavy_line = crowded_gate().heavy_line
    for review in (first, second):
        assert (await api.generated(review))["generationMetadata"]["cache"] == "hit"
    other = await api.send("POST", f"/api/review/{first}/generate-questions", {"systemDescription": DESCRIPTION, "maxQuestions": 3})
    assert (other.status_code, other.json()["code"]) == (503, "OVERLOADED")


async def test_a_body_that_the_door_waits_for_is_in_flight_when_the_process_stops(make_api):
    gate = Gate(GateOptions())
    api = await make_api(gate=gate, drain=(drain := Drain(timeout=0)))
    api.headers = await api.register()
    review = await api.review()
    await api.generated(review)
    gate.heavy_line = crowded_gate().heavy_line
    call = api.exchange("POST", f"/api/review/{review}/generate-questions", api.headers.items(), body=())
    asking = asyncio.create_task(call.run())
    await asyncio.sleep(0)  # it waits for the body
    stopping = asyncio.create_task(drain.run(lambda: None, lambda: None))
    async with asyncio.timeout(20):
        await asking
    await drain.closed()
    await stopping
    assert (call.status, json.loads(call.content)["code"]) == (503, "SHUTTING_DOWN")


async def test_the_work_of_one_who_has_had_his_share_is_batch_work(make_api):
    levels = []

    async def generate(request, **_):
        levels.append(current_priority())
        raise asyncio.CancelledError

    gate = crowded_gate(crowded=lambda level, yields: False)
    api = await make_api(gate=gate, generate=generate)
    modest, greedy = await api.register("modest@example.com"), await api.register("greedy@example.com")
    for headers in (modest, *[greedy] * 5, modest):
        review = await api.review(headers)
        body = {"systemDescription": DESCRIPTION, "skipCache": True}
        asking = api.client.post(f"/api/review/{review}/generate-questions", json=body, headers=headers)
        await asyncio.gather(asyncio.ensure_future(asking), return_exceptions=True)
    interactive, batch = Priority.INTERACTIVE, Priority.BATCH
    assert levels == [*[interactive] * 5, batch, interactive]
