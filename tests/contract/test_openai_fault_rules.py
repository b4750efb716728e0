"""The fault server: which request meets which fault, what it counts, and who came before the wait that it told was over."""

import asyncio
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime

import httpx2
import pytest

from support.openai_faults import openai_faults
from support.openai_taxonomy import CHAT, EMBEDDINGS, FAULTS
from support.openai_waits import FORMS, NOTHING_SAID, go_duration

pytest_plugins = ["support.fixtures"]

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Is there a control against phishing mail?"}]}
LIMITED = FAULTS["rate_limit_exceeded"]


@pytest.fixture
def http(openai_server):
    """Raw requests."""
    with httpx2.Client(base_url=openai_server.url, headers={"authorization": "Bearer key-1"}, timeout=10) as client:
        yield client


def statuses(http, count: int, path=CHAT, key="key-1") -> list[int]:
    body = QUESTION if path == CHAT else {"model": "m", "input": "one", "dimensions": 8}
    return [http.post(path, json=body, headers={"authorization": f"Bearer {key}"}).status_code for _ in range(count)]


def test_a_script_is_played_once_and_always_stays_until_healed(openai_server, http):
    openai_server.always("server_error")
    openai_server.script("slow_down", None)
    assert statuses(http, 4) == [429, 200, 500, 500]
    openai_server.heal()
    assert statuses(http, 1) == [200]


def test_rules_can_be_for_a_path_and_for_a_key(openai_server, http):
    openai_server.always("server_error", path=EMBEDDINGS)
    openai_server.always("insufficient_quota", key="key-2")
    openai_server.always(None, path=CHAT, key="key-2")
    assert (statuses(http, 1), statuses(http, 1, EMBEDDINGS)) == ([200], [500])
    assert statuses(http, 1, key="key-2") == [200]
    assert statuses(http, 1, "/v1/models", key="key-2") == [429]
    assert (openai_server.count(EMBEDDINGS), openai_server.count(key="key-2"), openai_server.count()) == (1, 2, 4)


def test_only_known_keys_are_let_in(openai_server, http):
    openai_server.keys = {"key-1"}
    assert statuses(http, 1) + statuses(http, 1, key="other") == [200, 401]


def test_chance_is_the_same_for_the_same_seed():
    def run(seed):
        with openai_faults(seed=seed) as server, httpx2.Client(base_url=server.url) as http:
            server.sometimes({"server_error": 0.3, "slow_down": 0.2})
            return statuses(http, 200)

    first = run(1)
    assert first == run(1) != run(2)
    assert 30 < first.count(500) < 90
    assert 15 < first.count(429) < 70


def test_a_fault_of_embeddings_does_not_befall_a_chat(openai_server, http):
    openai_server.always("missing item")
    assert http.post(CHAT, json=QUESTION).json()["choices"]
    assert openai_server.requests[-1].fault is None


def test_every_request_is_remembered(openai_server, http):
    before = time.monotonic()
    http.post(CHAT, json=QUESTION, headers={"x-request-id": "r-1"})
    (seen,) = openai_server.requests
    assert (seen.path, seen.key, seen.body, seen.headers["x-request-id"]) == (CHAT, "key-1", QUESTION, "r-1")
    assert before <= seen.at <= time.monotonic()
    openai_server.forget()
    assert openai_server.requests == []


async def test_many_at_once_are_all_answered(openai_server):
    async with httpx2.AsyncClient(base_url=openai_server.url, limits=httpx2.Limits(max_connections=50), timeout=30) as client:
        answers = await asyncio.gather(*(client.post(CHAT, json=QUESTION) for _ in range(500)))
    assert {answer.status_code for answer in answers} == {200}
    assert openai_server.count(CHAT) == 500


# Waits -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "headers", "words"),
    [
        ("retry-after-ms", {"retry-after-ms": "1500"}, ""),
        ("retry-after-whole", {"retry-after": "2"}, ""),
        ("retry-after-float", {"retry-after": "1.5"}, ""),
        ("message", {}, "Please try again in 1.5s."),
        ("reset-requests", {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, ""),
        ("reset-tokens", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1.5s"}, ""),
        ("reset-bare-seconds", {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5"}, ""),
    ],
)
def test_a_wait_is_told_in_every_form(openai_server, http, form, headers, words):
    openai_server.script(LIMITED.waiting(FORMS[form], 1.5))
    answer = http.post(CHAT, json=QUESTION)
    assert answer.status_code == 429
    assert headers.items() <= dict(answer.headers).items()
    assert ("retry-after" in answer.headers or "retry-after-ms" in answer.headers) is form.startswith("retry-after")
    assert answer.json()["error"]["message"].endswith(words)


def test_a_date_is_of_whole_seconds_and_never_too_early(openai_server, http):
    openai_server.script(LIMITED.waiting(FORMS["retry-after-date"], 1.5))
    before = time.time()
    answer = http.post(CHAT, json=QUESTION)
    then = parsedate_to_datetime(answer.headers["retry-after"]).timestamp()
    assert before + 1.5 <= then <= time.time() + 2.5


@pytest.mark.parametrize("form", FORMS)
def test_who_comes_before_the_wait_is_over_was_early(openai_server, http, form):
    openai_server.script(LIMITED.waiting(FORMS[form], 3600))
    assert statuses(http, 1) + statuses(http, 1) == [429, 200]
    assert statuses(http, 1, key="key-2") + statuses(http, 1, EMBEDDINGS) == [200, 200]
    (early,) = openai_server.early
    assert (early.path, early.key, early.early_by > 3500) == (CHAT, "key-1", True)


@pytest.mark.parametrize("hint", NOTHING_SAID)
def test_a_hint_that_asks_for_no_wait_makes_nobody_early(openai_server, http, hint):
    openai_server.script(replace(LIMITED, hint=NOTHING_SAID[hint]))
    assert statuses(http, 2) == [429, 200]
    assert openai_server.early == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (360, "6m0s"),
        (7.66, "7.66s"),
        (0.02, "20ms"),
        (0, "0s"),
        (3605, "1h0m5s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (86400, "24h0m0s"),
    ],
)
def test_durations_are_as_go_prints_them(seconds, text):
    assert go_duration(seconds) == text
