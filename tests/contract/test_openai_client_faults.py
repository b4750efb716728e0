"""The client over real sockets: every fault of the fault server, and what becomes of it."""

import pytest

from sengol_api.adapters.openai import (
    AccessDeniedError,
    BadAnswerError,
    CutAnswerError,
    FilteredRequestError,
    InvalidJsonError,
    KeyRefusedError,
    LateAnswerError,
    NoSuchModelError,
    OverloadedError,
    QuotaError,
    RateLimitedError,
    RefusalError,
    RequestRefusedError,
    ServerFailedError,
    TooLongError,
    UnreachableError,
)
from sengol_api.review.errors import LLMError
from support.openai_clients import ASK, SCHEMA, client_of, question
from support.openai_taxonomy import CHAT, FAULTS, QUOTAS

pytest_plugins = ["support.fixtures"]

SAID = "You asked: Is there a control against phishing mail?"


CHAT_ERRORS = {
    **{fault.name: QuotaError for fault in QUOTAS},
    "context_length_exceeded": TooLongError,
    "invalid_request_error": RequestRefusedError,
    "content_filter": FilteredRequestError,
    "invalid_api_key": KeyRefusedError,
    "permission_denied": AccessDeniedError,
    "model_not_found": NoSuchModelError,
    "Not Found": NoSuchModelError,
    "request_timeout": ServerFailedError,
    "conflict": ServerFailedError,
    "server_error": ServerFailedError,
    "Bad Gateway": ServerFailedError,
    "server_is_overloaded": OverloadedError,
    "Gateway Time-out": ServerFailedError,
    "rate_limit_exceeded": RateLimitedError,
    "slow_down": RateLimitedError,
    "html": BadAnswerError,
    "html called json": BadAnswerError,
    "truncated json": BadAnswerError,
    "empty body": BadAnswerError,
    "not an object": BadAnswerError,
    "null": BadAnswerError,
    "error with status 200": ServerFailedError,
    "empty choices": BadAnswerError,
    "null content": BadAnswerError,
    "empty content": BadAnswerError,
    "refusal": RefusalError,
    "length": CutAnswerError,
    "content filter": RefusalError,
    "silent": LateAnswerError,
    "drip": LateAnswerError,
    "cut": UnreachableError,
    "reset": UnreachableError,
    "reset at once": UnreachableError,
    "stall": LateAnswerError,
}
"""What a chat request gets when it meets a fault and is not tried again."""

ANSWERED = {"slow", "error in the stream", "wrong schema", "fenced prose"}
"""What is an answer to a chat request that does not stream and asks for no schema."""

ON_EMBEDDINGS = {
    "missing item": BadAnswerError,
    "no items": BadAnswerError,
    "wrong dimension": BadAnswerError,
    "null in a vector": BadAnswerError,
    "repeated index": BadAnswerError,
}


def patience(due: type[LLMError]) -> float:
    """Seconds: few where the fault is that nothing comes, so many that a busy machine does not look like that elsewhere."""
    return 0.3 if due is LateAnswerError else 10.0


def test_the_table_knows_every_fault():
    assert {*CHAT_ERRORS, *ANSWERED, *ON_EMBEDDINGS} == FAULTS.keys()


@pytest.mark.parametrize("name", CHAT_ERRORS)
async def test_a_chat_request_gets_the_error_of_its_fault(openai_server, name):
    openai_server.always(name)
    async with client_of(openai_server, timeout=patience(CHAT_ERRORS[name])) as client:
        with pytest.raises(LLMError) as caught:
            await client.chat_completion(ASK, max_retries=0)
        assert type(caught.value) is CHAT_ERRORS[name]
        assert openai_server.count(CHAT) == 1
        stats = client.get_stats()
        assert (stats.requests, sum(stats.errors.values())) == (1, 1)
        assert stats.maybe_billed == (name in {"silent", "drip", "cut", "reset", "reset at once", "stall"})


@pytest.mark.parametrize("name", sorted(ANSWERED))
async def test_what_is_an_answer_is_one(openai_server, name):
    openai_server.always(name)
    async with client_of(openai_server) as client:
        assert (await client.chat_completion(ASK)).text


@pytest.mark.parametrize("name", [*ON_EMBEDDINGS, *(name for name in CHAT_ERRORS if FAULTS[name].on is None)])
async def test_an_embedding_request_gets_the_error_of_its_fault(openai_server, name):
    openai_server.always(name)
    due = (ON_EMBEDDINGS | CHAT_ERRORS)[name]
    async with client_of(openai_server, timeout=patience(due)) as client:
        with pytest.raises(LLMError) as caught:
            await client.batch_generate_embeddings(["one", "two"], max_retries=0)
        assert type(caught.value) is due


@pytest.mark.parametrize("name", [name for name in CHAT_ERRORS if CHAT_ERRORS[name].retryable and name != "server_is_overloaded"])
async def test_what_may_pass_is_tried_again_and_answered(openai_server, name):
    openai_server.script(name)
    async with client_of(openai_server, timeout=patience(CHAT_ERRORS[name])) as client:
        answer = await client.chat_completion(ASK)
        assert (answer.text, answer.calls) == (SAID, 2)


@pytest.mark.parametrize("name", [name for name in CHAT_ERRORS if not CHAT_ERRORS[name].retryable])
async def test_what_does_not_pass_is_sent_once(openai_server, name):
    openai_server.always(name)
    async with client_of(openai_server) as client:
        with pytest.raises(LLMError):
            await client.chat_completion(ASK)
        assert openai_server.count(CHAT) == 1


@pytest.mark.parametrize(
    "name", ["length", "content filter", "cut", "reset", "stall", "silent", "drip", "error in the stream", "server_error"]
)
async def test_a_stream_that_fails_is_never_an_answer(openai_server, name):
    openai_server.always(FAULTS[name].lasting(0.2) if name == "drip" else name)
    told = []
    async with client_of(openai_server, timeout=0.4) as client:
        with pytest.raises(LLMError):
            await client.chat_completion(ASK, on_progress=told.append, max_retries=0)
        assert (told == []) is (name in {"silent", "server_error"})
        assert client.registry["openai.chat.primary"]["bulkhead"].snapshot().in_flight == 0


@pytest.mark.parametrize("name", ["cut", "error in the stream", "html", "empty body"])
async def test_a_stream_that_broke_is_begun_again(openai_server, name):
    openai_server.script(name)
    told = []
    async with client_of(openai_server) as client:
        answer = await client.chat_completion(ASK, on_progress=told.append)
        assert (answer.text, answer.calls, told[-1].characters) == (SAID, 2, len(SAID))
        assert answer.usage.input_tokens > 0


@pytest.mark.parametrize("name", ["wrong schema", "fenced prose", "length"])
async def test_json_that_is_not_of_the_schema_is_repaired_or_told(openai_server, name):
    async with client_of(openai_server) as client:
        openai_server.script(name)
        answer = await client.chat_json(ASK, SCHEMA, name="answer")
        assert (answer.value, answer.calls) == ({"count": 3, "note": "text"}, 2)
        openai_server.always(name)
        with pytest.raises(InvalidJsonError):
            await client.chat_json(question(1), SCHEMA, name="answer")
        assert openai_server.count(CHAT) == 4
