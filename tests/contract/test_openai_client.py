"""The client over real sockets: every fault of the fault server, and what becomes of it."""

import asyncio
import logging
from dataclasses import replace
from random import Random

import numpy as np
import openai
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
    OpenAIClient,
    OpenAIOptions,
    OverloadedError,
    Provider,
    QuotaError,
    RateLimitedError,
    RefusalError,
    RequestRefusedError,
    ServerFailedError,
    TooLongError,
    UnavailableError,
    UnreachableError,
)
from sengol_api.resilience import Cache, CircuitBreaker, deadline
from sengol_api.review.errors import LLMError
from support.openai_answers import vector_of
from support.openai_clients import ASK, SCHEMA, question
from support.openai_faults import openai_faults
from support.openai_taxonomy import CHAT, EMBEDDINGS, FAULTS, QUOTAS
from support.openai_waits import FORMS, NOTHING_SAID
from support.tcp_proxy import tcp_proxy
from support.tiny_http import Reply, TinyHttp

pytest_plugins = ["support.fixtures"]

SAID = "You asked: Is there a control against phishing mail?"
LIMITED = FAULTS["rate_limit_exceeded"]


class NoDelay(Random):
    """Every delay of our own is the shortest that it may be; those that a server asks for stay."""

    def uniform(self, a, b):
        return a


def client_of(*servers, **options):
    """A client whose providers are these servers; its own pauses are nought."""
    urls = [getattr(server, "base_url", server) for server in servers]
    fallbacks = tuple(
        Provider(name=f"fallback-{place}", base_url=url, api_key="key-2", model="m") for place, url in enumerate(urls[1:])
    )
    told = {"timeout": 5.0, **options}
    return OpenAIClient(OpenAIOptions(api_key="key-1", base_url=urls[0], fallbacks=fallbacks, **told), random=NoDelay())


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


def test_the_table_knows_every_fault():
    assert {*CHAT_ERRORS, *ANSWERED, *ON_EMBEDDINGS} == FAULTS.keys()


@pytest.mark.parametrize("name", CHAT_ERRORS)
async def test_a_chat_request_gets_the_error_of_its_fault(openai_server, name):
    openai_server.always(name)
    async with client_of(openai_server, timeout=0.3) as client:
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
    async with client_of(openai_server, timeout=0.3) as client:
        with pytest.raises(LLMError) as caught:
            await client.batch_generate_embeddings(["one", "two"], max_retries=0)
        assert type(caught.value) is (ON_EMBEDDINGS | CHAT_ERRORS)[name]


@pytest.mark.parametrize("name", [name for name in CHAT_ERRORS if CHAT_ERRORS[name].retryable and name != "server_is_overloaded"])
async def test_what_may_pass_is_tried_again_and_answered(openai_server, name):
    openai_server.script(name)
    async with client_of(openai_server, timeout=0.3) as client:
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


# Waits


@pytest.mark.parametrize("form", FORMS)
async def test_no_request_comes_before_the_server_allows_it_whatever_the_form(openai_server, form):
    openai_server.script(LIMITED.waiting(FORMS[form], 0.15))
    async with client_of(openai_server) as client:
        assert (await client.chat_completion(ASK)).calls == 2
        openai_server.script(FAULTS["server_is_overloaded"].waiting(FORMS[form], 0.15))
        first = asyncio.create_task(client.chat_completion(question(1)))
        await asyncio.sleep(0.1)  # the refusal has arrived: nobody else may come now either
        await asyncio.gather(first, *(client.chat_completion(question(number)) for number in range(2, 8)))
        assert openai_server.early == []


@pytest.mark.parametrize("name", NOTHING_SAID)
async def test_a_hint_that_asks_for_nothing_holds_nobody_up(openai_server, name):
    hint = NOTHING_SAID[name]
    openai_server.script(replace(LIMITED, hint=hint))
    async with client_of(openai_server) as client:
        assert (await client.chat_completion(ASK)).calls == 2
        assert openai_server.early == []


async def test_a_spent_quota_is_one_request_for_both_kinds_until_the_cool_down_is_over(openai_server):
    openai_server.always("insufficient_quota")
    async with client_of(openai_server, breaker=CircuitBreaker(reset_timeout=0.3)) as client:
        with pytest.raises(QuotaError):
            await client.chat_completion(ASK)
        results = await asyncio.gather(
            *(client.chat_completion(question(number)) for number in range(30)),
            client.generate_embedding("x"),
            return_exceptions=True,
        )
        assert {type(each) for each in results} == {UnavailableError}
        assert openai_server.count() == 1
        await asyncio.sleep(0.35)
        await asyncio.gather(*(client.chat_completion(question(number)) for number in range(30)), return_exceptions=True)
        assert openai_server.count() == 2


# Many at once


async def test_fifty_who_ask_the_same_are_one_request(openai_server):
    openai_server.always("slow")
    async with client_of(openai_server) as client:
        answers = await asyncio.gather(*(client.chat_completion(ASK) for _ in range(50)))
        assert {answer.text for answer in answers} == {SAID}
        vectors = await asyncio.gather(*(client.generate_embedding("the same") for _ in range(50)))
        assert (openai_server.count(CHAT), openai_server.count(EMBEDDINGS)) == (1, 1)
        assert all((vector == vectors[0]).all() for vector in vectors)


async def test_three_thousand_texts_are_two_requests_in_right_order(openai_server):
    openai_server.shuffle = True
    texts = [f"control number {number}" for number in range(3000)]
    async with client_of(openai_server) as client:
        vectors = await client.batch_generate_embeddings([*texts, texts[0]], dimensions=32)
        assert openai_server.count(EMBEDDINGS) == 2
        for vector, text in zip(vectors, [*texts, texts[0]], strict=True):
            np.testing.assert_allclose(vector, vector_of(text, 32), atol=1e-6)


async def test_a_cancelled_leader_harms_nobody_and_leaves_nothing_open(openai_server):
    openai_server.always(FAULTS["slow"].lasting(0.2))
    async with client_of(openai_server) as client:
        leader = asyncio.create_task(client.chat_completion(ASK))
        await asyncio.sleep(0.05)
        follower = asyncio.create_task(client.chat_completion(ASK))
        await asyncio.sleep(0.05)
        leader.cancel()
        assert (await follower).text == SAID
        alone = asyncio.create_task(client.chat_completion(question(1)))
        await asyncio.sleep(0.05)
        alone.cancel()
        await asyncio.gather(alone, leader, return_exceptions=True)
        assert (await client.chat_completion(question(2))).text
        assert client.registry["openai.chat.primary"]["bulkhead"].snapshot().in_flight == 0


async def test_under_a_storm_of_faults_every_answer_is_right_and_all_is_counted():
    with openai_faults(seed=11) as server:
        names = [
            "server_error",
            "html",
            "truncated json",
            "cut",
            "empty choices",
            "reset at once",
            "Bad Gateway",
            "length",
            "refusal",
        ]
        server.sometimes(dict.fromkeys(names, 0.04))
        async with client_of(server, breaker=CircuitBreaker(failure_threshold=10_000), max_retries=5) as client:
            results = await asyncio.gather(
                *(client.chat_completion(question(number)) for number in range(150)), return_exceptions=True
            )
            answers = {number: each for number, each in enumerate(results) if not isinstance(each, Exception)}
            assert all(each.text == f"You asked: Question {number}?" for number, each in answers.items())
            assert {type(each) for each in results if isinstance(each, Exception)} <= {
                CutAnswerError,
                RefusalError,
                BadAnswerError,
                ServerFailedError,
                UnreachableError,
            }
            assert len(answers) > 120
            stats = client.get_stats()
            assert stats.requests == server.count(CHAT)
            assert sum(stats.errors.values()) == sum(seen.fault is not None for seen in server.requests)


# Dead and coming back


async def test_an_old_answer_is_served_after_the_server_has_died(openai_server):
    with tcp_proxy(openai_server._http.port) as proxy:
        options = OpenAIOptions(api_key="key-1", base_url=f"http://127.0.0.1:{proxy.port}/v1", timeout=1.0, max_retries=1)
        async with OpenAIClient(options, random=NoDelay(), cache=Cache(ttl=0.05, stale_if_error=60.0)) as client:
            await client.chat_completion(ASK)
            proxy.refuse()
            await asyncio.sleep(0.1)
            answer = await client.chat_completion(ASK)
            assert (answer.text, answer.source) == (SAID, "stale")
            assert "refuses connections" in answer.reason


MANNERS = {
    "refused": lambda proxy: proxy.refuse(),
    "hanging": lambda proxy: proxy.hang(),
    "reset": lambda proxy: proxy.reset(),
    "dripping": lambda proxy: proxy.drip(0.2, "to_client"),
    "cut": lambda proxy: proxy.cut(100, "to_client"),
    "cut with a reset": lambda proxy: proxy.cut(100, "to_client", reset=True),
    "frozen": lambda proxy: proxy.freeze(),
}


@pytest.mark.parametrize("manner", MANNERS)
async def test_a_bad_line_ends_in_a_clear_error_and_a_good_one_is_used_again(openai_server, manner):
    with tcp_proxy(openai_server._http.port) as proxy:
        async with client_of(f"http://127.0.0.1:{proxy.port}/v1", timeout=0.3, max_retries=1) as client:
            await client.chat_completion(question(0))
            MANNERS[manner](proxy)
            with pytest.raises(LLMError) as caught:
                await client.chat_completion(question(1))
            assert isinstance(caught.value, UnreachableError | LateAnswerError)
            with pytest.raises(LLMError), deadline(0.2):
                await client.chat_completion(question(2))
            proxy.pass_on()
            client.registry.breakers()["openai.chat.primary"].reset()
            assert (await client.chat_completion(question(3))).text == "You asked: Question 3?"


async def test_a_dead_provider_is_passed_over_by_the_chain():
    with openai_faults() as dead, openai_faults() as alive:
        dead.always("silent")
        async with client_of(dead, alive, timeout=0.2, max_retries=0) as client:
            answers = [await client.chat_completion(question(number)) for number in range(8)]
            assert {answer.provider for answer in answers} == {"fallback-0"}
            assert dead.count() == 5
            assert {seen.key for seen in alive.requests} == {"key-2"}


async def test_a_server_that_drips_is_cut_at_the_callers_deadline(openai_server):
    openai_server.always(FAULTS["drip"].lasting(0.05))
    async with client_of(openai_server, timeout=60.0) as client:
        with pytest.raises(LateAnswerError) as caught, deadline(0.4):
            await client.chat_completion(ASK)
        assert caught.value.by_deadline


# Wrong addresses and keys


@pytest.mark.parametrize(
    ("url", "kind", "text"),
    [
        ("http://no-such-host.invalid/v1", UnreachableError, "OPENAI_BASE_URL"),
        ("http://127.0.0.1:9/v1", UnreachableError, "refuses connections"),
        ("{server}/nothing", NoSuchModelError, "OPENAI_BASE_URL"),
    ],
)
async def test_a_wrong_address_says_what_to_check(openai_server, url, kind, text):
    async with client_of(url.replace("{server}", openai_server.url), max_retries=0) as client:
        with pytest.raises(kind, match=text):
            await client.chat_completion(ASK)


async def test_a_wrong_key_says_what_to_check(openai_server):
    openai_server.keys = {"another"}
    async with client_of(openai_server) as client:
        with pytest.raises(KeyRefusedError, match="OPENAI_API_KEY"):
            await client.chat_completion(ASK)


async def test_a_redirect_does_not_carry_the_prompt_elsewhere(openai_server):
    moved = TinyHttp(lambda *_: Reply(307, b"", headers={"location": f"{openai_server.base_url}/chat/completions"}))
    try:
        async with client_of(f"{moved.url}/v1") as client:
            with pytest.raises(NoSuchModelError):
                await client.chat_completion(ASK)
        assert openai_server.count() == 0
    finally:
        moved.close()


async def test_accounts_named_in_the_environment_are_not_told_to_others(openai_server, monkeypatch):
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-the-environment")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-the-environment")
    async with client_of(openai_server) as client:
        await client.chat_completion(ASK)
    async with client_of(openai_server, organization="org-told", project="project-told") as client:
        await client.chat_completion(ASK)
    first, second = openai_server.requests
    assert not {"openai-organization", "openai-project"} & first.headers.keys()
    assert (second.headers["openai-organization"], second.headers["openai-project"]) == ("org-told", "project-told")


# Loops, and secrets


def test_one_client_in_two_event_loops_one_after_the_other(openai_server):
    client = client_of(openai_server)

    async def main(number):
        async with client:
            return (await client.chat_completion(question(number))).text

    assert [asyncio.run(main(number)) for number in (1, 2)] == ["You asked: Question 1?", "You asked: Question 2?"]


async def test_a_configured_client_of_the_callers_own_is_used_as_it_is(openai_server):
    async with openai.AsyncOpenAI(
        base_url=openai_server.base_url, api_key="key-of-its-own", max_retries=5, default_headers={"x-mine": "yes"}
    ) as sdk:
        openai_server.script("server_error")
        async with OpenAIClient(OpenAIOptions(max_retries=0), sdk=sdk) as client:
            with pytest.raises(ServerFailedError):
                await client.chat_completion(ASK)
            assert (await client.chat_completion(question(1))).text
        assert [(seen.key, seen.headers["x-mine"]) for seen in openai_server.requests] == [("key-of-its-own", "yes")] * 2
        assert not sdk.is_closed()


KEY, PROMPT, BODY = "sk-CANARY-KEY", "CANARY-PROMPT", "CANARY-BODY"


def _marked(fault):
    """The fault with a canary in whatever words the vendor says."""
    body = fault.body
    if body is None:
        return fault
    words = {
        b'"message":"': b'"message":"CANARY-BODY ',
        b"<title>": b"<title>CANARY-BODY ",
        b'"refusal":"': b'"refusal":"CANARY-BODY ',
    }

    def marked(ask):
        told = body(ask)
        for before, after in words.items():
            told = told.replace(before, after)
        return told

    return replace(fault, body=marked)


@pytest.mark.parametrize("name", [*CHAT_ERRORS, None, "wrong schema"])
async def test_no_key_prompt_or_vendors_words_in_logs_errors_or_events(openai_server, caplog, capfd, name):
    caplog.set_level(logging.DEBUG)
    if name is not None:
        openai_server.always(_marked(FAULTS[name]))
    openai_server.reply = lambda _: f"{BODY} says the model"
    events = []
    options = OpenAIOptions(api_key=KEY, base_url=openai_server.base_url, timeout=0.3, max_retries=1)
    client = OpenAIClient(options, random=NoDelay())
    client.registry.subscribe(events.append)
    shown = [repr(options), repr(client.providers)]
    async with client:
        for ask in (
            client.chat_completion([{"role": "user", "content": PROMPT}]),
            client.chat_json([{"role": "user", "content": PROMPT}], SCHEMA, name="answer"),
            client.generate_embedding(PROMPT),
        ):
            try:
                with deadline(2.0):
                    await ask
            except LLMError as error:
                link = error
                while link is not None:
                    shown += [str(link), repr(link), repr(getattr(link, "metadata", "")), *getattr(link, "__notes__", [])]
                    link = link.__cause__ or link.__context__
        shown += [
            repr(events),
            repr(client.registry.snapshot()),
            repr(client.get_stats()),
            repr(client.registry["openai.chat.primary"]),
        ]
    out = capfd.readouterr()
    shown += [caplog.text, out.out, out.err]
    for canary in (KEY, PROMPT, BODY):
        assert canary not in "\n".join(shown)
