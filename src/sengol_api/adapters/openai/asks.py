"""What is asked for: a request as data, the body that it has for a provider, and the key under which its answer is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sengol_api.adapters.openai.budget import Cost
from sengol_api.adapters.openai.options import OPENAI, Provider
from sengol_api.adapters.openai.schema import AnswerSchema
from sengol_api.adapters.openai.tokens import clean, estimate_tokens
from sengol_api.resilience import OptionsError, cache_key
from sengol_api.resilience.options import between, whole

FORM: Final = 1
"""Version of what is kept under a key."""

_TEMPERATURE = between(0, 2).or_none()
_MAX_TOKENS = whole(1).or_none()


@dataclass(frozen=True, slots=True)
class ChatAsk:
    """A chat request.

    Attributes:
        messages: role and content of each.
        temperature: 0 to 2; None leaves it to the model, as some models want it.
        max_tokens: of the answer; None: as many as the model gives.
        schema: that the answer must have.
        model: in place of the first provider's.
        prompt_version: changes when the answers of before shall not be served any more.
    """

    messages: tuple[Mapping[str, str], ...] = field(repr=False)
    temperature: float | None = 0.3
    max_tokens: int | None = None
    schema: AnswerSchema | None = None
    model: str | None = None
    prompt_version: str = ""

    def body(self, provider: Provider, *, first: bool) -> dict[str, Any]:
        """The request as a provider takes it."""
        body: dict[str, Any] = {"model": self.model_at(provider, first=first), "messages": list(self.messages)}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.max_tokens is not None:
            # OpenAI's newer models know the new name alone; other servers, the old one.
            body["max_completion_tokens" if provider.url.startswith(OPENAI) else "max_tokens"] = self.max_tokens
        if self.schema is not None:
            form = self.schema.response_format(provider.json_form)
            body |= {} if form is None else {"response_format": form}
            if provider.json_form != "json_schema":
                body["messages"].insert(0, {"role": "system", "content": self.schema.in_words})
        return body

    def model_at(self, provider: Provider, *, first: bool) -> str:
        """The model that is asked: another than the provider's own only at the first."""
        return self.model if first and self.model is not None else provider.model

    def cost(self, provider: Provider, *, first: bool) -> Cost:
        """What it takes from a budget: providers count the tokens that are asked and those that may be answered."""
        asked = sum(estimate_tokens(message["content"]) + 4 for message in self.messages)
        return Cost(self.model_at(provider, first=first), asked + (self.max_tokens or 0))

    def key(self, chain: Sequence[Provider]) -> str:
        """The key of its answer: of everything that changes it."""
        models = [
            [provider.url, self.model_at(provider, first=place == 0), provider.json_form] for place, provider in enumerate(chain)
        ]
        schema = None if self.schema is None else [self.schema.name, self.schema.schema]
        messages = [dict(message) for message in self.messages]
        return cache_key("chat", FORM, models, messages, schema, self.temperature, self.max_tokens, self.prompt_version)

    def repaired(self, answer: str, problems: Sequence[str]) -> "ChatAsk":
        """The request that asks the model to correct its answer."""
        told = "\n".join(f"- {problem}" for problem in problems)
        words = f"That answer cannot be used:\n{told}\nAnswer again: the whole corrected JSON value, and nothing else."
        said = ({"role": "assistant", "content": answer[:_QUOTED] or "(nothing)"}, {"role": "user", "content": words})
        return replace(self, messages=(*self.messages, *said))


_QUOTED: Final = 60_000  # characters of an answer that are shown to the model again


def chat_ask(
    messages: Sequence[Mapping[str, str]],
    *,
    temperature: float | None,
    max_tokens: int | None,
    model: str | None,
    schema: AnswerSchema | None = None,
    prompt_version: str = "",
) -> ChatAsk:
    """A chat request of what a caller gave.

    Raises:
        OptionsError: something that no provider would take; each problem is listed.
    """
    problems = [] if messages else ["messages is empty"]
    for place, message in enumerate(messages):
        told: Any = message
        fine = isinstance(told, Mapping) and all(isinstance(told.get(name), str) for name in ("role", "content"))
        problems += [] if fine else [f"messages[{place}] is not a mapping with the texts role and content"]
    for name, value, allowed in (("temperature", temperature, _TEMPERATURE), ("max_tokens", max_tokens, _MAX_TOKENS)):
        problems += [] if allowed.accepts(value) else [f"{name}={value!r} is not allowed, it takes {allowed.words}"]
    if problems:
        raise OptionsError("chat request", problems)
    cleaned = tuple({name: clean(text) for name, text in message.items()} for message in messages)
    return ChatAsk(cleaned, temperature, max_tokens, schema, model or None, prompt_version)


@dataclass(frozen=True, slots=True)
class EmbeddingAsk:
    """An embedding request.

    Attributes:
        texts: none of them empty.
        dimensions: that are asked for; None: as many as the model gives.
        tokens: about so many.
    """

    texts: tuple[str, ...] = field(repr=False)
    dimensions: int | None
    tokens: int

    def body(self, provider: Provider) -> dict[str, Any]:
        """The request as a provider takes it."""
        body: dict[str, Any] = {"model": provider.embedding_model, "input": list(self.texts), "encoding_format": "base64"}
        return body if self.dimensions is None else {**body, "dimensions": self.dimensions}

    def cost(self, provider: Provider) -> Cost:
        """What it takes from a budget."""
        return Cost(provider.embedding_model, self.tokens)

    def key(self, model: str) -> str:
        """Under which callers who ask the same at the same time meet."""
        return cache_key("embed", FORM, model, self.dimensions, self.texts)


def vector_key(model: str, dimensions: int | None, text: str) -> str:
    """Under which the vector of a text is kept."""
    return cache_key("vector", FORM, model, dimensions, text)
