"""The client over real sockets: bad lines, dead servers, wrong addresses, event loops and secrets."""

import asyncio
import logging
from dataclasses import replace

import openai
import pytest

from sengol_api.adapters.openai import (
    KeyRefusedError,
    LateAnswerError,
    NoSuchModelError,
    OpenAIClient,
    OpenAIOptions,
    ServerFailedError,
    UnreachableError,
)
from sengol_api.resilience import Cache, TimedOut, deadline
from sengol_api.review.errors import LLMError
from support.openai_clients import ASK, SCHEMA, NoDelay, client_of, question
from support.openai_faults import openai_faults
from support.openai_taxonomy import FAULTS
from support.tcp_proxy import tcp_proxy
from support.tiny_http import Reply, TinyHttp

pytest_plugins = ["support.fixtures"]

SAID = "You asked: Is there a control against phishing mail?"


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
            with pytest.raises((LLMError, TimedOut)), deadline(0.2):  # on a busy machine the block itself ends first
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


@pytest.mark.parametrize("name", [None, *(name for name in FAULTS if name not in {"slow", "drip", "stall"})])
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
