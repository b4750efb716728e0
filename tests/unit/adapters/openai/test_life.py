"""The life of a client: names in a registry, loops, and what is loaded when."""

import asyncio
import subprocess
import sys

import pytest

from sengol_api.adapters.openai import OpenAIClient, OpenAIOptions
from sengol_api.resilience import OptionsError, Registry
from sengol_api.resilience.testing import run_virtual
from support.openai_clients import ASK, client_over
from support.openai_sdk import Embedded, FakeSdk, Said


def names(client):
    return sorted(client.registry)


def test_every_pipeline_has_a_stable_name_in_the_registry():
    async def main(clock):
        client = client_over(clock, FakeSdk(), FakeSdk())
        assert names(client) == [
            "openai.chat",
            "openai.chat.primary",
            "openai.chat.second",
            "openai.embeddings",
            "openai.embeddings.primary",
            "openai.embeddings.second",
            "openai.key.primary",
            "openai.key.second",
        ]
        assert set(client.registry.breakers()) == {name for name in client.registry if name.count(".") == 2}
        assert list(client.registry["openai.chat.primary"]) == ["retry", "circuit_breaker", "server_budget", "bulkhead", "timeout"]

    run_virtual(main)


def test_two_clients_need_two_names_and_a_closed_one_gives_its_names_back():
    async def main(clock):
        registry = Registry(clock=clock)
        first = client_over(clock, FakeSdk(), registry=registry)
        with pytest.raises(OptionsError, match=r"openai\.chat"):
            client_over(clock, FakeSdk(), registry=registry)
        client_over(clock, FakeSdk(), registry=registry, options={"name": "other"})
        assert "other.chat.primary" in registry
        await first.aclose()
        await first.aclose()
        assert "openai.chat" not in registry
        client_over(clock, FakeSdk(), registry=registry)

    run_virtual(main)


def test_options_can_be_changed_at_run_time_by_name():
    async def main(clock):
        sdk = FakeSdk(Said())
        client = client_over(clock, sdk)
        client.registry.update("openai.chat.primary", "timeout", seconds=5.0)
        client.registry.breakers()["openai.chat.primary"].isolate()
        with pytest.raises(Exception, match="isolated by hand"):
            await client.chat_completion(ASK)
        client.registry.breakers()["openai.chat.primary"].reset()
        assert (await client.chat_completion(ASK, max_retries=1)).source == "fresh"

    run_virtual(main)


def test_a_client_of_the_callers_own_is_used_and_not_closed():
    async def main(clock):
        sdk = FakeSdk()
        async with client_over(clock, sdk) as client:
            await client.chat_completion(ASK)
        assert not sdk.closed

    run_virtual(main)


def test_one_object_serves_one_event_loop_after_another():
    sdk = FakeSdk(Said("One."))
    from sengol_api.resilience.clock import SYSTEM_CLOCK

    client = client_over(SYSTEM_CLOCK, sdk)

    async def main(temperature):
        async with client:
            assert len(names(client)) == 5
            return (await client.chat_completion(ASK, temperature=temperature)).text

    assert [asyncio.run(main(temperature)) for temperature in (0.1, 0.2, 0.1)] == ["One."] * 3
    assert sdk.count == 2


def test_many_who_come_first_make_one_sdk_client():
    async def main(clock):
        made = []
        sdk = FakeSdk(Embedded())
        sdk.with_options = lambda **_: made.append(1) or sdk
        client = client_over(clock, sdk)
        await asyncio.gather(*(client.generate_embedding(f"text {number}") for number in range(20)))
        assert len(made) == 1

    run_virtual(main)


def test_a_first_caller_that_is_cancelled_takes_nobody_with_them():
    async def main(clock):
        client = client_over(clock, FakeSdk(Said("One.")))
        first = asyncio.create_task(client.chat_completion(ASK, use_cache=False))
        second = asyncio.create_task(client.chat_completion(ASK, use_cache=False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).text == "One."

    run_virtual(main)


def test_the_sdk_is_not_loaded_before_it_is_used():
    code = (
        "import sys, sengol_api.adapters.openai as o; o.OpenAIClient(o.OpenAIOptions(api_key='k')); "
        "print([m for m in ('openai', 'httpx2', 'pydantic', 'jsonschema_rs') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_options_that_cannot_work_are_told_when_the_client_is_made():
    with pytest.raises(OptionsError, match="OPENAI_API_KEY"):
        OpenAIClient(OpenAIOptions())
    with pytest.raises(OptionsError, match="base_url"):
        OpenAIClient(OpenAIOptions(api_key="k", base_url="nowhere"))
