"""The first look at a request for heavy work: while there is far more than can be done, most of it ends here, at next to no cost.

By the time that a request stands in line its token, its user's limit and its body have been looked at. That costs a hundredth of a
review, and at ten times the load a seventh of all that the process can do.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sengol_api.api.dispatch import CONTENT, read_body, tell
from sengol_api.api.errors import refusal, respond_to
from sengol_api.api.gate import HEADER as PRIORITY
from sengol_api.api.gate import OVER_SHARE, level_of
from sengol_api.api.operations import Operation
from sengol_api.api.services import Services
from sengol_api.api.shares import FairShares
from sengol_api.resilience import Priority
from sengol_api.resilience.admission.policy import AdmissionPolicy
from sengol_api.review.errors import AppError, ValidationError

REMEMBERED: Final = 4_096
"""Bodies that were answered, of which the answer may still be at hand: some 300 kB, for each is one number."""
_PRIORITY: Final = PRIORITY.encode()


class Door:
    """Refuses heavy work before anything is done for it, where it would hardly get a place.

    What can be seen from outside decides: the line, the class that the request claims, and whether whoever sent it has had his
    share. He is told by his token, as it stands there: who has several counts as several here, and as one at the gate. A body that
    was answered lately passes whatever the line: its answer may be kept, and costs little.

    Args:
        app: the application inside.
        operations: of all paths.
        services: gives the services of this process; None before they are there.
        now: monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        operations: Iterable[Operation],
        services: Callable[[], Services | None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._services = services
        heavy = [operation for operation in operations if operation.work == "heavy"]
        self._paths = [(compile_path(operation.path)[0], operation) for operation in heavy]
        self._ends = tuple({operation.path.rpartition("}")[2] for operation in heavy})
        self._shares = FairShares(now)
        self._answered: dict[int, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through, or refuse it."""
        operation = self._operation(scope)
        services = self._services()
        if operation is None or services is None or services.drain.draining:
            await self._app(scope, receive, send)
            return
        try:
            receive = await self._let_in(scope, receive, operation, services.gate.heavy_line)
        except AppError as error:
            scope["state"]["route"] = operation.path
            await tell(respond_to(scope, error), scope, receive, send)
            return
        await self._app(scope, receive, send if operation.at_hand is None else self._remembering(scope, send))

    def _operation(self, scope: Scope) -> Operation | None:
        if scope["type"] != "http" or not scope["path"].endswith(self._ends):
            return None
        for path, operation in self._paths:
            if operation.method == scope["method"] and path.match(scope["path"]):
                return operation
        return None

    async def _let_in(self, scope: Scope, receive: Receive, operation: Operation, line: AdmissionPolicy) -> Receive:
        """Let a request pass, under overload as batch work if its sender has had his share.

        Returns:
            what gives its body to the application.

        Raises:
            OverloadedError: it would hardly get a place.
            AppError: its body, which was looked at, is wrong.
        """
        seen = dict(scope["headers"])
        level = _level(seen, operation)
        who = hash(seen.get(b"authorization"))  # a token is not kept in one more place
        over = not self._shares.due(who) and line.overloaded
        if not line.crowded(level, yields=over):
            if over:
                scope["state"][OVER_SHARE] = True
            else:
                self._shares.took(who)
            return receive
        if operation.at_hand is not None and self._answered:
            content = await read_body(Request(scope, receive), operation.body_limit)
            if hash(content) in self._answered:
                return _again(content, receive)
        raise refusal(line.shed(level))

    def _remembering(self, scope: Scope, send: Send) -> Send:
        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                key = hash(scope["state"].pop(CONTENT))
                self._answered.pop(key, None)
                self._answered[key] = None
                if len(self._answered) > REMEMBERED:
                    del self._answered[next(iter(self._answered))]
            await send(message)

        return sender


def _level(seen: dict[bytes, bytes], operation: Operation) -> Priority:
    wish = seen.get(_PRIORITY)
    try:
        return level_of(None if wish is None else wish.decode("latin-1"), operation.priority)
    except ValidationError:
        return operation.priority  # what is wrong with it is told inside


def _again(content: bytes, receive: Receive) -> Receive:
    """A receiver that gives the body, and then what comes after it."""
    given: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def receiver() -> Message:
        return given.pop() if given else await receive()

    return receiver
