"""The client over real sockets: waits that a server asks for, and many callers at once."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from sengol_api.adapters.openai import (
    BadAnswerError,
    CutAnswerError,
    QuotaError,
    RefusalError,
    ServerFailedError,
    UnavailableError,
    UnreachableError,
)
from sengol_api.resilience import CircuitBreaker
from support.openai_answers import vector_of
from support.openai_clients import ASK, client_of, question
from support.openai_faults import openai_faults
from support.openai_taxonomy import CHAT, EMBEDDINGS, FAULTS
from support.openai_waits import FORMS, NOTHING_SAID

pytest_plugins = ["support.fixtures"]

SAID = "You asked: Is there a control against phishing mail?"
LIMITED = FAULTS["rate_limit_exceeded"]


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
            assert len(answers) > 75
            stats = client.get_stats()
            assert stats.requests == server.count(CHAT)
            assert sum(stats.errors.values()) == sum(seen.fault is not None for seen in server.requests)
