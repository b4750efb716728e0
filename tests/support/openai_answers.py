"""What a healthy server of the OpenAI protocol answers, the same for the same request."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

CREATED = 1_795_500_000
DIMENSION = 1536
MODELS = ("gpt-4o-mini", "text-embedding-3-small")
Ask = Mapping[str, Any]


def dump(value: Any) -> bytes:
    """JSON as the wire has it."""
    return json.dumps(value, separators=(",", ":")).encode()


def tokens_in(text: str) -> int:
    """About as many as a real tokenizer would count."""
    return max(1, len(text) // 4)


def chat_completion(ask: Ask, content: str) -> dict[str, Any]:
    """The answer to ``/v1/chat/completions``."""
    spoken = {"role": "assistant", "content": content, "refusal": None}
    choice = {"index": 0, "message": spoken, "logprobs": None, "finish_reason": "stop"}
    made = {"id": "chatcmpl-test", "object": "chat.completion", "created": CREATED, "model": ask.get("model", MODELS[0])}
    return {**made, "choices": [choice], "usage": _chat_usage(ask, content)}


def chat_chunks(ask: Ask, content: str, *, finish: str = "stop") -> Iterator[bytes]:
    """The same as server-sent events, some words in each; the last is ``[DONE]``."""
    made = {"id": "chatcmpl-test", "object": "chat.completion.chunk", "created": CREATED, "model": ask.get("model", MODELS[0])}
    words = content.split(" ")
    parts = [" ".join(words[at : at + 4]) + (" " if at + 4 < len(words) else "") for at in range(0, len(words), 4)]
    for position, part in enumerate(parts):
        delta = {"role": "assistant", "content": part} if position == 0 else {"content": part}
        yield _event({**made, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({**made, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if (ask.get("stream_options") or {}).get("include_usage"):
        yield _event({**made, "choices": [], "usage": _chat_usage(ask, content)})
    yield b"data: [DONE]\n\n"


def _event(value: Any) -> bytes:
    return b"data: " + dump(value) + b"\n\n"


def _chat_usage(ask: Ask, content: str) -> dict[str, int]:
    asked = sum(tokens_in(str(message.get("content"))) for message in ask.get("messages", []))
    said = tokens_in(content)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def embeddings(ask: Ask, *, reorder: Callable[[list[Any]], None] | None = None) -> dict[str, Any]:
    """The answer to ``/v1/embeddings``; ``reorder`` may change the order of the items, whose ``index`` tells the right one."""
    inputs = inputs_of(ask)
    vectors = [vector_of(repr(each) if isinstance(each, list) else each, ask.get("dimensions") or DIMENSION) for each in inputs]
    encode = _base64 if ask.get("encoding_format") == "base64" else np.ndarray.tolist
    data = [{"object": "embedding", "index": index, "embedding": encode(vector)} for index, vector in enumerate(vectors)]
    if reorder is not None:
        reorder(data)
    used = sum(tokens_in(str(each)) for each in inputs)
    return {"object": "list", "data": data, "model": ask.get("model"), "usage": {"prompt_tokens": used, "total_tokens": used}}


def inputs_of(ask: Ask) -> list[Any]:
    """The inputs of an embedding request: a text, texts, token numbers, or lists of them."""
    given = ask.get("input")
    if isinstance(given, str) or (isinstance(given, list) and given and isinstance(given[0], int)):
        return [given]
    return list(given or [])


@lru_cache(maxsize=8192)
def vector_of(text: str, dimension: int = DIMENSION) -> np.ndarray:
    """The unit vector that stands for a text: a hash of it, so that tests know what to expect."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(dimension, dtype=np.float32)
    vector /= np.linalg.norm(vector)
    vector.flags.writeable = False
    return vector


def _base64(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def models() -> dict[str, Any]:
    """The answer to ``/v1/models``."""
    listed = [{"id": name, "object": "model", "created": CREATED, "owned_by": "tests"} for name in MODELS]
    return {"object": "list", "data": listed}


def content_for(ask: Ask) -> str:
    """What the model says: with a ``json_schema``, the smallest value that fits it; else a sentence about the question."""
    form = ask.get("response_format") or {}
    if form.get("type") == "json_schema":
        return json.dumps(smallest(form["json_schema"].get("schema", {})))
    if form.get("type") == "json_object":
        return "{}"
    messages = ask.get("messages") or [{}]
    return f"You asked: {messages[-1].get('content', '')}"


def smallest(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """A value that fits a JSON Schema of the kind that strict structured output allows."""
    root = schema if root is None else root
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return smallest(target, root)
    for chosen in ("const", "enum", "anyOf"):
        if chosen in schema:
            value = schema[chosen] if chosen == "const" else schema[chosen][0]
            return smallest(value, root) if chosen == "anyOf" else value
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: smallest(each, root) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [smallest(schema.get("items", {}), root) for _ in range(schema.get("minItems", 0))]
        case "string":
            return "text".ljust(schema.get("minLength", 0), ".")
        case "boolean":
            return False
        case "null":
            return None
        case number:
            lowest = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return int(lowest) if number == "integer" else float(lowest)
