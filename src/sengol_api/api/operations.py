"""An operation is declared once; its checks, its route and its place in the OpenAPI document follow from that."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sengol_api.api.gate import Work
from sengol_api.api.limits import LimitName
from sengol_api.api.services import ApiOptions, Services
from sengol_api.api.wire import Success
from sengol_api.resilience import Priority
from sengol_api.review.accounts import User

Method = Literal["GET", "POST", "PUT", "DELETE"]
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed every check.

    Attributes:
        body: of the operation's body type; None where it has none.
        query: of the operation's query type.
        deadline_ms: milliseconds that the request may take.
        admit: does a piece of work when its turn comes. Answers are admitted already; only what a stream does after its answer has
            begun needs it.
    """

    services: Services
    options: ApiOptions
    request: Request
    path: Mapping[str, str]
    body: Any
    query: Any
    deadline_ms: int
    caller: User | None
    admit: "Admit"

    @property
    def user(self) -> User:
        """Who asks; only of operations that need a token."""
        if self.caller is None:
            raise RuntimeError("an operation without authentication has no user")
        return self.caller


@dataclass(frozen=True, slots=True)
class Example:
    """A request and its answer as the documentation shows them."""

    answer: Any
    body: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        errors: codes that it can answer with beside those that every operation can.
        body: the type of the JSON body; None for an operation without one.
        query: the type of the query string.
        answer: the type of the answer, the ``Success`` envelope included.
        streams: answers as a stream of events too, and works long enough to be stopped when the client goes away.
        admin: only for administrators.
        also: further answers by status, in words and as an example of the same type: a health route that says "no".
        limit: which limit counts it; None for none.
        work: how much there is to do: what is heavy is let in by a limit of its own. None: it is always let in.
        at_hand: whether the answer to a body is kept in this process already: then there is little to do, whatever ``work`` says.
        priority: its class when there is more to do than can be done.
    """

    method: Method
    path: str
    name: str
    summary: str
    description: str
    tag: str
    handler: "Handler"
    answer: Any
    example: Example
    status: int = 200
    body: Any = None
    query: type[msgspec.Struct] | None = None
    body_limit: int = MIB
    authenticated: bool = True
    timed: bool = True
    errors: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    streams: bool = False
    admin: bool = False
    also: Mapping[int, tuple[str, Any]] = field(default_factory=dict)
    limit: LimitName | None = "requests"
    work: Work | None = "light"
    at_hand: Callable[[Services, Any], bool] | None = None
    priority: Priority = Priority.INTERACTIVE

    @property
    def all_errors(self) -> tuple[str, ...]:
        """Every code that it can answer with."""
        codes = ["HEADERS_TOO_LARGE", "INTERNAL_ERROR", *self.errors]
        if self.timed:
            codes += ["SHUTTING_DOWN", "TIMEOUT_ERROR", "VALIDATION_ERROR"]
        if self.limit is not None:
            codes.append("RATE_LIMIT_ERROR")
        if self.work is not None:
            codes.append("OVERLOADED")
        if self.authenticated:
            codes += ["AUTHENTICATION_ERROR", "DATABASE_ERROR"]
        if self.admin:
            codes.append("AUTHORIZATION_ERROR")
        if self.body is not None:
            codes += ["PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"]
        if "{" in self.path:
            codes.append("NOT_FOUND")
        return tuple(sorted(set(codes)))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives: data for the envelope, or bare, and headers; the operation's status if it names no other."""

    data: Any
    bare: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The body."""
        return msgspec.json.encode(self.data if self.bare else Success(data=self.data))


Admit = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
Handler = Callable[[Call], Awaitable[Answer | Response]]
