"""Every way in which a server of the OpenAI protocol fails, as data: what it answers and how it sends it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from support.openai_answers import Ask, chat_completion, content_for, dump, embeddings
from support.openai_waits import NO_HINT, Form, Hint
from support.tiny_http import Reply

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Welcome to the network</h1></body></html>"


@dataclass(frozen=True, eq=False)
class Fault:
    """One way to fail.

    Attributes:
        name: as counted.
        body: makes the body from the request; None: the healthy answer's.
        status, content_type: of the answer.
        hint: a wait that is told, or a form of one with its seconds.
        how: it is sent: ``whole``; ``silent`` (never an answer); ``slow`` (after ``seconds``); ``drip`` (a byte, or an event of a
            stream, every ``seconds``); ``cut`` (half of it, and an orderly end); ``reset`` (half of it, and a reset); ``reset at
            once``; ``stall`` (half of it, and silence); ``error event`` (half of a stream, and an error in it).
        on: the only path where it makes sense; elsewhere the answer is healthy. None: any.
        finish: ends a stream with another ``finish_reason`` than ``stop``.
    """

    name: str
    body: Callable[[Ask], bytes] | None = None
    status: int = 200
    content_type: str = "application/json"
    hint: Hint | tuple[Form, float] = NO_HINT
    how: str = "whole"
    seconds: float = 0.05
    on: str | None = None
    finish: str | None = None

    def waiting(self, form: Form, seconds: float) -> "Fault":
        """The same, which tells how long to wait."""
        return replace(self, hint=(form, seconds))

    def lasting(self, seconds: float) -> "Fault":
        """The same, with another ``seconds``."""
        return replace(self, seconds=seconds)

    def reply(self, ask: Ask, healthy: Callable[[], Reply]) -> tuple[Reply, float | None]:
        """The answer, and the seconds that it asks to wait."""
        hint = self.hint if isinstance(self.hint, Hint) else self.hint[0](self.hint[1])
        if self.body is None:
            return healthy(), hint.seconds
        body = self.body(ask).replace(b"{words}", json.dumps(hint.words)[1:-1].encode())
        return Reply(self.status, body, self.content_type, hint.headers), hint.seconds


def error(name: str, status: int, message: str, *, kind: str, code: str | None = None, param: str | None = None) -> Fault:
    """An error with the body that the API gives it."""
    told = {"message": f"{message}{{words}}", "type": kind, "param": param, "code": code}
    return Fault(name, lambda _: dump({"error": told}), status)


def quota(name: str, *, only: str | None = None) -> Fault:
    """A 429 that no waiting helps against; ``only`` leaves its name in ``type`` or in ``code`` alone."""
    message = "You exceeded your current quota, please check your plan and billing details."
    kind, code = (name if only != "code" else "tokens"), (name if only != "type" else None)
    return error(name if only is None else f"{name} ({only})", 429, message, kind=kind, code=code)


def gateway(name: str, status: int) -> Fault:
    """An error page of something in between."""
    page = f"<html><head><title>{status}</title></head><body><center><h1>{status} {name}</h1></center></body></html>"
    return Fault(name, lambda _: page.encode(), status, "text/html")


def spoken(name: str, finish: str | None = None, **message: Any) -> Fault:
    """A completion whose message is no answer."""

    def body(ask: Ask) -> bytes:
        answer = chat_completion(ask, content_for(ask))
        choice = answer["choices"][0]
        choice["message"] |= message
        choice["finish_reason"] = finish or "stop"
        return dump(answer)

    return Fault(name, body, on=CHAT, finish=finish)


def embedded(name: str, spoil: Callable[[list[dict[str, Any]]], None]) -> Fault:
    """An embedding answer that is not what was asked for."""
    return Fault(name, lambda ask: dump(embeddings({**ask, "encoding_format": "float"}, reorder=spoil)), on=EMBEDDINGS)


def _shorten(items: list[dict[str, Any]]) -> None:
    for item in items:
        del item["embedding"][-1]


def _blank(items: list[dict[str, Any]]) -> None:
    items[0]["embedding"][0] = None


def _repeat_index(items: list[dict[str, Any]]) -> None:
    for item in items:
        item["index"] = 0


_INVALID = "invalid_request_error"
_LIMITED = "Rate limit reached for gpt-4o-mini in organization org-test on tokens per min (TPM): Limit 200000, Used 200000."

QUOTAS = [
    quota("insufficient_quota"),
    quota("insufficient_quota", only="type"),
    quota("insufficient_quota", only="code"),
    quota("credit_balance_exhausted"),
    quota("organization_spend_limit_exceeded"),
    quota("project_spend_limit_exceeded"),
    quota("organization_usage_limit_exceeded"),
]
"""Never to be tried again."""

REFUSED = [
    error(
        "context_length_exceeded",
        400,
        "This model's maximum context length is 128000 tokens.",
        kind=_INVALID,
        code="context_length_exceeded",
        param="messages",
    ),
    error("invalid_request_error", 400, "Invalid value for 'temperature'.", kind=_INVALID, param="temperature"),
    error("content_filter", 400, "The response was filtered.", kind=_INVALID, code="content_filter", param="prompt"),
    error("invalid_api_key", 401, "Incorrect API key provided.", kind=_INVALID, code="invalid_api_key"),
    error(
        "permission_denied",
        403,
        "Country, region, or territory not supported.",
        kind="request_forbidden",
        code="unsupported_country_region_territory",
    ),
    error(
        "model_not_found", 404, "The model does not exist or you do not have access to it.", kind=_INVALID, code="model_not_found"
    ),
    gateway("Not Found", 404),
]
"""The same request will be refused again."""

PASSING = [
    error("request_timeout", 408, "Request timed out.", kind="timeout"),
    error("conflict", 409, "The resource is locked.", kind="conflict_error"),
    error("server_error", 500, "The server had an error while processing your request.", kind="server_error"),
    gateway("Bad Gateway", 502),
    error(
        "server_is_overloaded",
        503,
        "The engine is currently overloaded, please try again later.",
        kind="server_error",
        code="server_is_overloaded",
    ),
    gateway("Gateway Time-out", 504),
    error("rate_limit_exceeded", 429, _LIMITED, kind="tokens", code="rate_limit_exceeded"),
    error("slow_down", 429, "Slow down.", kind="slow_down", code="slow_down"),
]
"""Later, it may be answered."""

NO_SUCCESS = [
    Fault("html", lambda _: HTML, content_type="text/html"),
    Fault("html called json", lambda _: HTML),
    Fault("truncated json", lambda ask: dump(chat_completion(ask, content_for(ask)))[:-20]),
    Fault("empty body", lambda _: b""),
    Fault("not an object", lambda _: b"[]"),
    Fault("null", lambda _: b"null"),
    Fault("error with status 200", lambda _: dump({"error": {"message": "upstream failed", "type": "server_error", "code": None}})),
    Fault("empty choices", lambda ask: dump({**chat_completion(ask, ""), "choices": []}), on=CHAT),
    spoken("null content", content=None),
    spoken("empty content", content=""),
    spoken("refusal", content=None, refusal="I cannot help with that."),
    spoken("length", "length", content='{"questions": [{"text": "Is there a con'),
    spoken("content filter", "content_filter", content=""),
    spoken("wrong schema", content='{"unexpected": true}'),
    spoken("fenced prose", content="Sure! Here is the JSON:\n```json\n{}\n```"),
    embedded("missing item", lambda items: items.pop()),
    embedded("no items", lambda items: items.clear()),
    embedded("wrong dimension", _shorten),
    embedded("null in a vector", _blank),
    embedded("repeated index", _repeat_index),
]
"""Status 200, and no answer."""

BROKEN = [
    Fault("silent", how="silent"),
    Fault("slow", how="slow"),
    Fault("drip", how="drip"),
    Fault("cut", how="cut"),
    Fault("reset", how="reset"),
    Fault("reset at once", how="reset at once"),
    Fault("stall", how="stall"),
    Fault("error in the stream", how="error event", on=CHAT),
]
"""What goes wrong on the way. ``slow`` and ``drip`` end in a right answer, if one waits for it; the last needs a stream."""

FAULTS: dict[str, Fault] = {fault.name: fault for fault in [*QUOTAS, *REFUSED, *PASSING, *NO_SUCCESS, *BROKEN]}
"""All of them, by name."""
