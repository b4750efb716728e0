"""The SDK without a network: what ``openai.AsyncOpenAI`` gives and raises, as a test scripts it. Time may be virtual."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
from openai.types.chat import ChatCompletionChunk

from sengol_api.resilience.testing import Script
from support.openai_answers import chat_chunks, chat_completion, content_for, dump, embeddings

_numbers = itertools.count()
REQUEST = httpx2.Request("POST", "https://api.example.com/v1")


def answered(body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None) -> SimpleNamespace:
    """An answer with status 200, as ``with_raw_response`` gives it."""
    content = body if isinstance(body, bytes) else dump(body)
    told = {"content-type": "application/json", **(headers or {})}
    response = httpx2.Response(200, content=content, headers=told, request=REQUEST)
    return SimpleNamespace(http_response=response, headers=response.headers)


def refused(status: int, headers: Mapping[str, str] | None = None, **error: Any) -> openai.APIStatusError:
    """An answer with another status, as the SDK raises it."""
    told = {"message": "words of the vendor", "type": None, "code": None, "param": None, **error}
    response = httpx2.Response(status, content=dump({"error": told}), headers=headers, request=REQUEST)
    return openai.APIStatusError(f"Error code: {status} - {told['message']}", response=response, body=told)


def broken(cause: Exception | None = None) -> openai.APIConnectionError:
    """A connection that broke, or did not come about."""
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


class Said:
    """A step that answers what the model says; by default what the fault server's model would."""

    def __init__(self, content: str | None = None, *, headers: Mapping[str, str] | None = None, **choice: Any) -> None:
        self.content, self.headers, self.choice = content, headers, choice

    def to(self, ask: Mapping[str, Any]) -> Any:
        content = content_for(ask) if self.content is None else self.content
        if ask.get("stream"):
            return _Stream(content, ask, self.headers, self.choice.get("finish_reason", "stop"))
        body = chat_completion(ask, content)
        body["choices"][0] |= self.choice
        return answered(body, self.headers)


class _Stream(SimpleNamespace):
    def __init__(self, content: str, ask: Mapping[str, Any], headers: Mapping[str, str] | None, finish: str | None) -> None:
        self.headers = {"content-type": "text/event-stream", **(headers or {})}
        self._chunks = [
            ChatCompletionChunk.model_validate_json(event.removeprefix(b"data: "))
            for event in chat_chunks(ask, content, finish=finish)
            if b"[DONE]" not in event
        ]
        self.closed = False

    def parse(self) -> "_Stream":
        return self

    async def __aiter__(self) -> Any:
        for chunk in self._chunks:
            yield chunk

    async def close(self) -> None:
        self.closed = True


class Embedded:
    """A step that answers embeddings."""

    def __init__(self, reorder: Callable[[list[Any]], None] | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.reorder, self.headers = reorder, headers

    def to(self, ask: Mapping[str, Any]) -> Any:
        return answered(embeddings(ask, reorder=self.reorder), self.headers)


class FakeSdk:
    """An SDK client whose calls follow a script, one step each; the last step repeats.

    Args:
        steps: what each request meets: ``Said``, ``Embedded``, what ``answered`` gives, an error, ``after`` or ``hang``.
        api_key: of its account; by default nobody else's.
        base_url: where it would send them.
    """

    def __init__(self, *steps: Any, api_key: str | None = None, base_url: str = "https://api.example.com/v1") -> None:
        self.script = Script(*steps or (Said(),))
        self.api_key, self.base_url = api_key or f"key-{next(_numbers)}", base_url
        self.closed = False
        self.headers: list[dict[str, str]] = []
        create = SimpleNamespace(with_raw_response=SimpleNamespace(create=self._create))
        self.chat = SimpleNamespace(completions=create)
        self.embeddings = create

    async def _create(
        self, *, extra_headers: Mapping[str, str] | None = None, extra_body: Mapping[str, Any] | None = None, **named: Any
    ) -> Any:
        self.headers.append(dict(extra_headers or {}))
        body = named | dict(extra_body or {})  # as the SDK has it: what is not named counts more
        step = await self.script(**body)
        return step.to(body) if hasattr(step, "to") else step

    @property
    def bodies(self) -> Sequence[dict[str, Any]]:
        """What was sent."""
        return [kwargs for _, kwargs in self.script.calls]

    @property
    def count(self) -> int:
        """Requests so far."""
        return len(self.script.calls)

    def with_options(self, *, max_retries: int) -> "FakeSdk":
        assert max_retries == 0
        return self

    async def close(self) -> None:
        self.closed = True
