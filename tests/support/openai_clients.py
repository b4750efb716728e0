"""Clients over scripted SDKs and over servers, and what tests ask them."""

from random import Random
from typing import Any

from sengol_api.adapters.openai import OpenAIClient, OpenAIOptions, Provider
from support.openai_sdk import FakeSdk

ASK = [{"role": "user", "content": "Is there a control against phishing mail?"}]
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 3}, "note": {"type": ["string", "null"]}},
    "required": ["count", "note"],
    "additionalProperties": False,
}


def client_over(clock: Any, *sdks: FakeSdk, options: dict[str, Any] | None = None, **parts: Any) -> OpenAIClient:
    """A client whose providers are these SDKs, ``primary`` and then ``second``, ``third``."""
    fallbacks = tuple(
        Provider(name=name, model=f"{name}-model", embedding_model="text-embedding-3-small", sdk=sdk)
        for name, sdk in zip(("second", "third"), sdks[1:], strict=False)
    )
    made = OpenAIOptions(base_url="https://api.example.com/v1", fallbacks=fallbacks, **(options or {}))
    return OpenAIClient(made, sdk=sdks[0], clock=clock, random=Random(7), **parts)


def question(number: int) -> list[dict[str, str]]:
    """Messages that no other number has."""
    return [{"role": "user", "content": f"Question {number}?"}]


class NoDelay(Random):
    """Every delay of our own is the shortest that it may be; those that a server asks for stay."""

    def uniform(self, a, b):
        return a


def client_of(*servers: Any, **options: Any) -> OpenAIClient:
    """A client whose providers are these servers; its own pauses are nought."""
    urls = [getattr(server, "base_url", server) for server in servers]
    fallbacks = tuple(
        Provider(name=f"fallback-{place}", base_url=url, api_key="key-2", model="m") for place, url in enumerate(urls[1:])
    )
    told = {"timeout": 5.0, **options}
    return OpenAIClient(OpenAIOptions(api_key="key-1", base_url=urls[0], fallbacks=fallbacks, **told), random=NoDelay())
