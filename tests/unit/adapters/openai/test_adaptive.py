"""A time limit that follows what answers took of late, where requests are alike."""

import asyncio

import pytest

from sengol_api.adapters.openai import LateAnswerError
from sengol_api.observability.events import observe
from sengol_api.observability.telemetry import Telemetry
from sengol_api.resilience import AdaptiveTimeout
from sengol_api.resilience.testing import after, run_virtual
from support.openai_clients import client_over, question
from support.openai_sdk import Embedded, FakeSdk, Said
from support.scraped import calls_of

FOLLOWING = AdaptiveTimeout(min_timeout=1.0, min_samples=5, window=600.0)


def client_for(clock, sdk, **options):
    return client_over(clock, sdk, options={"adaptive": FOLLOWING, "max_retries": 0, **options})


async def late(call, clock):
    """Seconds after which a call is cut."""
    began = clock.now()
    with pytest.raises(LateAnswerError):
        await call
    return clock.now() - began


async def limit_of(client, kind="chat"):
    """The limit now; it is worked out every hundredth of the window."""
    await asyncio.sleep(7.0)
    return client.registry[f"openai.{kind}.primary"]["adaptive_timeout"].snapshot().limit


def test_an_answer_that_takes_far_longer_than_usual_is_cut_and_a_slower_provider_is_followed():
    async def main(clock):
        sdk = FakeSdk(*[after(2.0, Said())] * 5, after(30.0, Said()))
        client = client_for(clock, sdk)
        assert await limit_of(client) == 60.0
        for number in range(5):
            await client.chat_completion(question(number))
        assert await limit_of(client) == pytest.approx(4.0, rel=0.06)
        assert await late(client.chat_completion(question(5)), clock) == pytest.approx(4.0, rel=0.06)
        for number in range(6, 20):
            await asyncio.sleep(7.0)
            try:
                await client.chat_completion(question(number))
            except LateAnswerError:
                continue
            break
        else:
            pytest.fail("the limit never widened")
        assert client.get_stats().errors["timeout"] >= 1

    run_virtual(main)


def test_the_timeout_stays_the_longest_limit():
    async def main(clock):
        client = client_for(clock, FakeSdk(*[after(2.0, Said())] * 5), timeout=3.0)
        assert await limit_of(client) == 3.0
        for number in range(5):
            await client.chat_completion(question(number))
        assert await limit_of(client) == 3.0

    run_virtual(main)


def test_a_limit_that_a_caller_sets_is_kept():
    async def main(clock):
        sdk = FakeSdk(*[after(0.5, Said())] * 5, after(10.0, Said()))
        client = client_for(clock, sdk)
        for number in range(5):
            await client.chat_completion(question(number))
        assert await limit_of(client) == pytest.approx(1.0, rel=0.06)
        assert (await client.chat_completion(question(5), timeout=20.0)).source == "fresh"
        assert await late(client.chat_completion(question(6), timeout=5.0), clock) == pytest.approx(5.0)

    run_virtual(main)


def test_many_texts_at_once_are_not_held_to_the_time_of_a_few():
    async def main(clock):
        sdk = FakeSdk(*[after(0.1, Embedded())] * 5, after(10.0, Embedded()))
        client = client_for(clock, sdk)
        for number in range(5):
            await client.generate_embedding(f"text {number}")
        assert await limit_of(client, "embeddings") == pytest.approx(1.0, rel=0.06)
        telemetry = Telemetry()
        observe(client.registry, telemetry)
        assert len(await client.batch_generate_embeddings([f"other {number}" for number in range(100)])) == 100
        assert calls_of(telemetry, "openai.embeddings.primary") == (1, 1)
        assert await late(client.generate_embedding("one more"), clock) == pytest.approx(1.0, rel=0.06)

    run_virtual(main)


def test_without_it_the_limit_is_the_timeout():
    async def main(clock):
        client = client_over(clock, FakeSdk())
        assert "adaptive_timeout" not in client.registry["openai.chat.primary"]

    run_virtual(main)
