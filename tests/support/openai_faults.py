"""A server of the OpenAI protocol over a real socket that fails as it is told, and remembers every request."""

import asyncio
import json
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.openai_answers import Ask, chat_chunks, chat_completion, content_for, dump, embeddings, inputs_of, models
from support.openai_taxonomy import CHAT, EMBEDDINGS, FAULTS, Fault, error
from support.tiny_http import Connection, Reply, Request, TinyHttp

Told = Fault | str | None
_UNKNOWN = error("unknown path", 404, "Invalid URL.", kind="invalid_request_error")
_INPUT = error("invalid input", 400, "'$.input' is invalid.", kind="invalid_request_error", param="input")
_KEY = FAULTS["invalid_api_key"]
_HEALTHY = Fault("none")
_FAILED_EVENT = b"data: " + dump({"error": {"message": "The server had an error.", "type": "server_error"}}) + b"\n\n"


@dataclass(frozen=True)
class Seen:
    """A request that came.

    Attributes:
        at: when it was read, on ``time.monotonic``.
        fault: the name of the fault that it met, or None.
        early_by: how many seconds before the end of the wait that this key was last told on this path; 0 when it was not early.
    """

    path: str
    key: str | None
    at: float
    headers: Mapping[str, str]
    body: Any
    fault: str | None
    early_by: float


class OpenAIFaults:
    """Healthy until it is told otherwise; ``close`` it.

    Faults are given as such or by their names in ``FAULTS``; None stands for a healthy answer. Of several rules that fit a
    request, the one for its path and key goes before the one for its path, then its key, then all; a script goes before
    ``always``, which goes before ``sometimes``.

    Attributes:
        reply: what the model says to a request (its JSON); by default what ``content_for`` makes of it.
        headers: added to every healthy answer, rate limits for example.
        keys: the only keys that are let in; None lets in all.
        shuffle: whether embeddings come in another order than their inputs.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.reply: Callable[[Ask], str] = content_for
        self.headers: dict[str, str] = {}
        self.keys: set[str] | None = None
        self.shuffle = False
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._scripts: dict[tuple[str | None, str | None], deque[Told]] = {}
        self._always: dict[tuple[str | None, str | None], Told] = {}
        self._sometimes: dict[tuple[str | None, str | None], dict[Told, float]] = {}
        self._seen: list[Seen] = []
        self._not_before: dict[tuple[str, str | None], float] = {}
        self._http = TinyHttp(self._handle, name="openai-faults")
        self.url = self._http.url
        self.base_url = f"{self.url}/v1"

    # What tests tell it ----------------------------------------------------------------------------------------------

    def script(self, *faults: Told, path: str | None = None, key: str | None = None) -> None:
        """The next requests meet these, one each; after them it is as before."""
        with self._lock:
            self._scripts.setdefault((path, key), deque()).extend(_named(fault) for fault in faults)

    def always(self, fault: Told, *, path: str | None = None, key: str | None = None) -> None:
        """Every request meets this; None: is healthy, whatever wider rules say."""
        with self._lock:
            self._always[path, key] = _named(fault)

    def sometimes(self, faults: Mapping[Told, float], *, path: str | None = None, key: str | None = None) -> None:
        """Each request meets one of these with its probability, in an order that the seed decides."""
        assert sum(faults.values()) <= 1 + 1e-9
        with self._lock:
            self._sometimes[path, key] = {_named(fault): share for fault, share in faults.items()}

    def heal(self) -> None:
        """Forget every rule; what is under way goes on as it began."""
        with self._lock:
            for rules in (self._scripts, self._always, self._sometimes):
                rules.clear()

    def forget(self) -> None:
        """Forget what was seen, and every wait that was told."""
        with self._lock:
            self._seen.clear()
            self._not_before.clear()

    # What tests ask it -----------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Seen]:
        """All that came, in order."""
        with self._lock:
            return list(self._seen)

    def count(self, path: str | None = None, *, key: str | None = None, fault: str | None = None) -> int:
        """How many came on a path, with a key, met a fault."""
        return sum(path in {None, seen.path} and key in {None, seen.key} and fault in {None, seen.fault} for seen in self.requests)

    @property
    def early(self) -> list[Seen]:
        """The requests that came before the server allowed it."""
        return [seen for seen in self.requests if seen.early_by > 0]

    @property
    def connections(self) -> int:
        """How many were accepted."""
        return self._http.accepted

    def close(self) -> None:
        """Stop; what is under way is reset."""
        self._http.close()

    # What clients see ------------------------------------------------------------------------------------------------

    def _handle(self, request: Request, connection: Connection) -> Any:
        path, key = request.path, request.headers.get("authorization", "").removeprefix("Bearer ") or None
        body = _json(request.body)
        ask = body if isinstance(body, dict) else {}
        streams = path == CHAT and ask.get("stream") is True
        with self._lock:
            fault = self._choose(path, key)
            if fault is not None and (fault.on not in {None, path} or (fault.how == "error event" and not streams)):
                fault = None
            early = max(0.0, self._not_before.get((path, key), 0.0) - request.at)
            name = None if fault is None else fault.name
            self._seen.append(Seen(path, key, request.at, request.headers, body, name, early))
        fault = fault or _HEALTHY
        if streams and fault.how not in {"silent", "reset at once"} and (fault.body is None or fault.finish):
            return self._stream(connection, ask, fault)
        reply, wait = fault.reply(ask, lambda: self._healthy(path, ask))
        if wait is not None:
            with self._lock:
                self._not_before[path, key] = time.monotonic() + wait
        return reply if fault.how == "whole" else _send(connection, fault, reply)

    def _choose(self, path: str, key: str | None) -> Fault | None:
        """The fault that the next request meets; the caller holds the lock."""
        if self.keys is not None and key not in self.keys:
            return _KEY
        places = ((path, key), (path, None), (None, key), (None, None))
        for place in places:
            if self._scripts.get(place):
                return self._scripts[place].popleft()
        for place in places:
            if place in self._always:
                return self._always[place]
        for place in places:
            if place in self._sometimes:
                shares = self._sometimes[place]
                drawn = self._chance.random()
                for fault, share in shares.items():
                    if (drawn := drawn - share) < 0:
                        return fault
                return None
        return None

    def _healthy(self, path: str, ask: Ask) -> Reply:
        if path == "/v1/models":
            return Reply(body=dump(models()), headers=self.headers)
        if path == CHAT and ask:
            return Reply(body=dump(chat_completion(ask, self.reply(ask))), headers=self.headers)
        if path == EMBEDDINGS and ask:
            inputs = inputs_of(ask)
            if not 1 <= len(inputs) <= 2048 or "" in inputs:
                return _INPUT.reply(ask, Reply)[0]
            answer = embeddings(ask, reorder=self._chance.shuffle if self.shuffle else None)
            return Reply(body=dump(answer), headers=self.headers)
        return _UNKNOWN.reply(ask, Reply)[0]

    async def _stream(self, connection: Connection, ask: Ask, fault: Fault) -> None:
        if fault.how == "slow":
            await asyncio.sleep(fault.seconds)
        told = {"transfer-encoding": "chunked", "content-type": "text/event-stream", **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        connection.write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode())
        events = list(chat_chunks(ask, self.reply(ask), finish=fault.finish or "stop"))
        ends_well = fault.how in {"whole", "slow", "drip"}
        for event in events if ends_well else events[: len(events) // 2]:
            connection.write(_chunk(event))
            await asyncio.sleep(fault.seconds if fault.how == "drip" else 0)
        if fault.how == "error event":
            connection.write(_chunk(_FAILED_EVENT))
        if ends_well or fault.how == "error event":
            connection.write(_chunk(b""))
        else:
            await _end(connection, fault)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _send(connection: Connection, fault: Fault, reply: Reply) -> None:
    """Send an answer, but not as one whole."""
    whole = reply.head() + reply.body
    match fault.how:
        case "silent":
            await asyncio.Event().wait()
        case "slow":
            await asyncio.sleep(fault.seconds)
            connection.write(whole)
        case "drip":
            for position in range(len(whole)):
                connection.write(whole[position : position + 1])
                await asyncio.sleep(fault.seconds)
        case "reset at once":
            connection.reset()
        case _:
            connection.write(reply.head() + reply.body[: len(reply.body) // 2])
            await _end(connection, fault)


async def _end(connection: Connection, fault: Fault) -> None:
    """After a part of an answer was written."""
    if fault.how == "stall":
        await asyncio.Event().wait()
    elif fault.how == "cut":
        connection.close()
    else:
        await asyncio.sleep(0.01)  # or the reset would overtake what was written
        connection.reset()


def _named(fault: Told) -> Fault | None:
    return FAULTS[fault] if isinstance(fault, str) else fault


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


@contextmanager
def openai_faults(*, seed: int = 0) -> Iterator[OpenAIFaults]:
    """A server that is stopped afterwards."""
    server = OpenAIFaults(seed=seed)
    try:
        yield server
    finally:
        server.close()
