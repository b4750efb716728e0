"""The fault server: the vendor's own SDK understands what it answers, and takes each fault for what it is."""

import base64
import json

import httpx2
import numpy as np
import openai
import pytest

from support.openai_answers import smallest, vector_of
from support.openai_taxonomy import CHAT, FAULTS, NO_SUCCESS, PASSING, QUOTAS, REFUSED

pytest_plugins = ["support.fixtures"]

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Is there a control against phishing mail?"}]}
STATUS_ERRORS = [*QUOTAS, *REFUSED, *PASSING]


@pytest.fixture
async def sdk(openai_server):
    """The SDK, as our client will use it."""
    async with openai.AsyncOpenAI(base_url=openai_server.base_url, api_key="key-1", max_retries=0, timeout=10) as client:
        yield client


@pytest.fixture
def http(openai_server):
    """Raw requests."""
    with httpx2.Client(base_url=openai_server.url, headers={"authorization": "Bearer key-1"}, timeout=10) as client:
        yield client


def ids(fault) -> str:
    return fault.name


# Healthy -----------------------------------------------------------------------------------------------------------------


async def test_the_sdk_reads_a_completion(sdk):
    answer = await sdk.chat.completions.create(**QUESTION)
    assert answer.choices[0].message.content == "You asked: Is there a control against phishing mail?"
    assert (answer.choices[0].finish_reason, answer.usage.total_tokens) == ("stop", 23)


async def test_the_sdk_reads_a_stream(sdk):
    stream = await sdk.chat.completions.create(**QUESTION, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "You asked: Is there a control against phishing mail?"
    assert len(chunks) > 3
    assert chunks[-1].usage.total_tokens == 23


async def test_a_schema_is_answered_with_a_value_that_fits_it(sdk):
    schema = {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 2},
            "level": {"enum": ["low", "high"]},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "$defs": {
            "item": {"type": "object", "properties": {"count": {"type": "integer", "minimum": 3}, "yes": {"type": "boolean"}}}
        },
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    answer = await sdk.chat.completions.create(**QUESTION, response_format=form)
    item = {"count": 3, "yes": False}
    assert json.loads(answer.choices[0].message.content) == {"items": [item, item], "level": "low", "note": "text"}
    assert smallest({"type": ["number", "null"], "exclusiveMinimum": 1}) == 2.0


@pytest.mark.parametrize("shuffle", [False, True])
async def test_the_sdk_reads_embeddings_whose_order_their_index_tells(openai_server, sdk, shuffle):
    openai_server.shuffle = shuffle
    texts = [f"text {number}" for number in range(50)]
    for form in ("float", "base64"):
        answer = await sdk.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=64, encoding_format=form)
        told = [item.index for item in answer.data]
        assert (told == list(range(50))) is not shuffle
        for item in answer.data:
            vector = item.embedding if form == "float" else np.frombuffer(base64.b64decode(item.embedding), "<f4")
            assert vector == pytest.approx(vector_of(texts[item.index], 64), abs=1e-6)


async def test_embeddings_have_their_usual_dimension_and_unit_length(sdk):
    answer = await sdk.embeddings.create(model="text-embedding-3-small", input="one")
    assert len(answer.data[0].embedding) == 1536
    assert np.linalg.norm(answer.data[0].embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "inputs", [[], ["one", ""], [""], ["x"] * 2049], ids=["none", "an empty one", "only an empty one", "too many"]
)
async def test_inputs_that_the_vendor_refuses_are_refused(sdk, inputs):
    with pytest.raises(openai.BadRequestError):
        await sdk.embeddings.create(model="text-embedding-3-small", input=inputs)


async def test_models_are_listed_and_unknown_paths_are_not_found(sdk, http):
    assert [model.id async for model in sdk.models.list()] == ["gpt-4o-mini", "text-embedding-3-small"]
    assert http.post("/v1/nothing", json={}).json()["error"]["type"] == "invalid_request_error"


# Faults ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", STATUS_ERRORS, ids=ids)
async def test_the_sdk_raises_the_error_of_each_status_with_its_body(openai_server, sdk, fault):
    openai_server.script(fault)
    with pytest.raises(openai.APIStatusError) as caught:
        await sdk.chat.completions.create(**QUESTION)
    assert caught.value.status_code == fault.status
    if fault.content_type == "application/json":
        assert caught.value.body == json.loads(fault.body({}).replace(b"{words}", b""))["error"]
    assert openai_server.count(CHAT, fault=fault.name) == 1


def test_the_quota_errors_name_themselves_in_their_type_or_code():
    names = {"insufficient_quota", "credit_balance_exhausted", "project_spend_limit_exceeded"}
    names |= {"organization_spend_limit_exceeded", "organization_usage_limit_exceeded"}
    told = [json.loads(fault.body({}))["error"] for fault in QUOTAS]
    assert {name for error in told for name in (error["type"], error["code"])} - {"tokens", None} == names
    assert {fault.status for fault in QUOTAS} == {429}


@pytest.mark.parametrize("fault", NO_SUCCESS, ids=ids)
def test_an_answer_that_is_none_has_status_200(openai_server, http, fault):
    path = fault.on or CHAT
    body = QUESTION if path == CHAT else {"model": "m", "input": ["one", "two"], "dimensions": 8}
    healthy = http.post(path, json=body)
    openai_server.script(fault)
    answer = http.post(path, json=body)
    assert answer.status_code == 200
    assert answer.content != healthy.content


async def test_the_sdk_lets_html_and_emptiness_pass_for_success(openai_server, sdk):
    openai_server.script("html", "html called json", "empty choices", "truncated json", "length")
    assert isinstance(await sdk.chat.completions.create(**QUESTION), str)
    with pytest.raises(json.JSONDecodeError):
        await sdk.chat.completions.create(**QUESTION)
    assert (await sdk.chat.completions.create(**QUESTION)).choices == []
    with pytest.raises(json.JSONDecodeError):
        await sdk.chat.completions.create(**QUESTION)
    assert (await sdk.chat.completions.create(**QUESTION)).choices[0].finish_reason == "length"


@pytest.mark.parametrize("name", ["silent", "stall"])
def test_silence_lasts_until_the_clients_patience_ends(openai_server, http, name):
    openai_server.script(name)
    with pytest.raises(httpx2.ReadTimeout):
        http.post(CHAT, json=QUESTION, timeout=httpx2.Timeout(10, read=0.1))
    assert http.post(CHAT, json=QUESTION).status_code == 200


def test_a_drip_outlives_a_timeout_that_is_longer_than_its_pauses(openai_server, http):
    openai_server.always(FAULTS["drip"].lasting(0.001))
    assert http.post(CHAT, json=QUESTION, timeout=httpx2.Timeout(10, read=5)).json()["choices"]
    with http.stream("POST", CHAT, json=QUESTION) as answer:
        parts = answer.iter_raw()
        assert [next(parts), next(parts), next(parts)] == [b"{", b'"', b"i"]


def test_a_slow_answer_is_a_right_one(openai_server, http):
    openai_server.script("slow")
    assert http.post(CHAT, json=QUESTION).json()["choices"]


@pytest.mark.parametrize(
    ("name", "error"),
    [("cut", httpx2.RemoteProtocolError), ("reset", httpx2.ReadError), ("reset at once", httpx2.ReadError)],
)
async def test_a_connection_that_breaks_is_an_error_of_the_transport(openai_server, http, sdk, name, error):
    openai_server.script(name, name)
    with pytest.raises(error):
        http.post(CHAT, json=QUESTION)
    with pytest.raises(openai.APIConnectionError):
        await sdk.chat.completions.create(**QUESTION)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cut", openai.APIConnectionError),
        ("reset", openai.APIConnectionError),
        ("stall", openai.APITimeoutError),
        ("error in the stream", openai.APIError),
    ],
)
async def test_a_stream_can_break_in_the_middle(openai_server, sdk, name, error):
    openai_server.script(name)
    stream = await sdk.with_options(timeout=httpx2.Timeout(10, read=0.5)).chat.completions.create(**QUESTION, stream=True)
    said = []

    async def listen():
        async for chunk in stream:
            said.append(chunk.choices[0].delta.content)

    with pytest.raises(error) as caught:
        await listen()
    assert caught.type is error
    assert "".join(said).startswith("You asked:")


async def test_a_stream_can_end_for_another_reason(openai_server, sdk):
    openai_server.script("length")
    stream = await sdk.chat.completions.create(**QUESTION, stream=True)
    assert [chunk.choices[0].finish_reason async for chunk in stream][-1] == "length"
