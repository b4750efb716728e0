"""Answers with status 200, and whether they are any: nothing is believed that was not looked at."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from sengol_api.adapters.openai.answers import Usage
from sengol_api.adapters.openai.errors import BadAnswerError, CutAnswerError, RefusalError
from sengol_api.adapters.openai.taxonomy import from_error_object

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _ChatBody(msgspec.Struct):
    choices: list[_Choice] = []
    model: str = ""
    usage: Any = None
    error: Any = None


class _Item(msgspec.Struct):
    index: int
    embedding: str | list[float]


class _EmbeddingsBody(msgspec.Struct):
    data: list[_Item] = []
    model: str = ""
    usage: Any = None
    error: Any = None


_read_chat = msgspec.json.Decoder(_ChatBody).decode
_read_embeddings = msgspec.json.Decoder(_EmbeddingsBody).decode


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said, before anybody has judged it.

    Attributes:
        text: its words.
        finish: why it stopped; empty when it did not say.
        refusal: the words with which it declined; empty when it did not.
        model: its name, in the provider's words.
        usage: tokens, as far as they were told.
    """

    text: str
    finish: str
    refusal: str
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors in the order of their texts, before anybody has judged them.

    Attributes:
        items: index and vector of each, in the order in which they came.
        model: its name, in the provider's words.
        usage: tokens, as far as they were told.
    """

    items: tuple[tuple[int, str | list[float]], ...]
    model: str
    usage: Usage


def chat_from(content: bytes, provider: str) -> Completion:
    """The completion in an answer to a chat request.

    Raises:
        ModelError: the answer holds none.
    """
    body = _decoded(_read_chat, content, provider, "a completion")
    if not body.choices:
        raise BadAnswerError(f"Provider {provider} answered with no choices.", provider=provider, status=200)
    choice = body.choices[0]
    message = choice.message
    finish = choice.finish_reason or ""
    return Completion(message.content or "", finish, message.refusal or "", body.model[:200], usage_from(body.usage))


def vectors_from(content: bytes, provider: str) -> Vectors:
    """The vectors in an answer to an embedding request.

    Raises:
        ModelError: the answer holds none.
    """
    body = _decoded(_read_embeddings, content, provider, "a list of embeddings")
    return Vectors(tuple((each.index, each.embedding) for each in body.data), body.model[:200], usage_from(body.usage))


def _decoded(read: Any, content: bytes, provider: str, what: str) -> Any:  # noqa: ANN401 - one of the two bodies
    problem = ""
    try:
        body = read(content)
    except msgspec.ValidationError:
        problem = f"JSON that is not {what}"
    except UNREADABLE:
        start = content[:200].lstrip().lower()
        problem = "nothing" if not start else "a web page" if start.startswith((b"<!doctype", b"<html")) else "no whole JSON text"
    if problem:
        hint = " Does the base URL lead to the API, and no proxy or sign-in page stand before it?" if "page" in problem else ""
        raise BadAnswerError(f"Provider {provider} answered with status 200 and {problem}.{hint}", provider=provider, status=200)
    if body.error is not None:
        raise from_error_object(body.error, provider)
    return body


def usage_from(told: Any) -> Usage:  # noqa: ANN401 - whatever the provider sent
    """The tokens that an answer tells; nought for what it does not, or not as a number."""
    if not isinstance(told, dict):
        return Usage()
    details = told.get("prompt_tokens_details")
    asked = _count(told.get("prompt_tokens"))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    return Usage(asked, _count(told.get("completion_tokens")), min(cached, asked))


def _count(value: Any) -> int:  # noqa: ANN401 - whatever the provider sent
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else 0


def spoken(completion: Completion, provider: str) -> str:
    """The text of a completion that is an answer.

    Raises:
        BadAnswerError: it is none: declined, filtered, cut, empty, or it does not say that it has ended.
    """
    if completion.refusal or completion.finish == "content_filter":
        what = "The answer was stopped by the content filter" if completion.finish == "content_filter" else "The model declined"
        raise RefusalError(
            f"{what} (provider {provider}). Ask in another way, or without what it objects to.", provider=provider, status=200
        )
    if completion.finish == "length":
        raise CutAnswerError(
            f"The answer of provider {provider} ended at the token limit. Allow more max_tokens, or ask for less.",
            provider=provider,
            text=completion.text,
            usage=completion.usage,
        )
    if completion.finish != "stop":
        raise BadAnswerError(f"The answer of provider {provider} does not say that it is complete.", provider=provider, status=200)
    if not completion.text.strip():
        raise BadAnswerError(f"The answer of provider {provider} is empty.", provider=provider, status=200)
    return completion.text


def in_order(vectors: Vectors, count: int, dimension: int | None, provider: str) -> tuple[bytes, ...]:
    """The vectors in the order of their texts, each as little-endian float32.

    Args:
        vectors: as they came.
        count: of the texts.
        dimension: that each must have; None: whatever it is, the same for all.
        provider: for messages.

    Raises:
        BadAnswerError: one is missing, doubled, of another size, zero or not finite.
    """
    problem = ""
    ordered: dict[int, bytes] = {}
    for index, embedding in vectors.items:
        vector = _numbers(embedding)
        if vector is None or not np.isfinite(vector).all() or not vector.any():
            problem = "a vector that is not one of finite numbers"
            break
        dimension = dimension or len(vector)
        if len(vector) != dimension:
            problem = f"a vector of {len(vector)} numbers, where {dimension} were expected"
            break
        ordered[index] = vector.tobytes()
    if not problem and (len(vectors.items) != count or ordered.keys() != set(range(count))):
        problem = f"{len(vectors.items)} vectors for {count} texts" if len(vectors.items) != count else "two vectors for one text"
    if problem:
        wrong = BadAnswerError(f"Provider {provider} answered with {problem}.", provider=provider, status=200)
        wrong.retryable = "expected" not in problem  # a model of another size stays one
        raise wrong
    return tuple(ordered[index] for index in range(count))


def _numbers(embedding: str | list[float]) -> NDArray[np.float32] | None:
    if isinstance(embedding, str):
        try:
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
        except (binascii.Error, ValueError):
            return None
    with np.errstate(over="ignore"):
        return np.asarray(embedding, dtype=np.float64).astype("<f4")
