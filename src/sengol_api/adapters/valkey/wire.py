"""One connection to the server: commands go out as they come, answers come back in the same order."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import hiredis

from sengol_api.adapters.valkey.errors import ValkeyAwayError, refusal

Command = tuple[str | bytes | int, ...]
_NOTHING: Final = object()
_pack: Callable[[Any], bytes] = hiredis.pack_command  # its own annotation knows tuples of one only


class Asked:
    """A command on its way, and who waits for its answer."""

    __slots__ = ("answer", "at", "command")

    def __init__(self, command: Command, answer: "asyncio.Future[Any]") -> None:
        self.command = command
        self.answer = answer
        self.at = 0.0


class Wire(asyncio.Protocol):
    """The protocol (RESP 2) over a connected socket.

    A command whose asker has gone is answered all the same, and its answer dropped: nothing gets out of step. When the oldest one
    is not answered in time the connection is given up, since nobody can know what it would still say.

    Args:
        where: the server, for errors.
        timeout: seconds for an answer.
    """

    def __init__(self, where: str, timeout: float) -> None:
        self._where = where
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOTHING, replyError=_ReplyText)
        self._sent: deque[Asked] = deque()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def alive(self) -> bool:
        """Whether it can be written to."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def waiting(self) -> int:
        """Commands without an answer."""
        return len(self._sent)

    @property
    def unsent(self) -> int:
        """Bytes that the socket has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, batch: Sequence[Asked]) -> None:
        """Write commands in one go to a connection that is made; each gets its answer or an error."""
        now = self._loop.time()
        for each in batch:
            each.at = now
        self._sent.extend(batch)
        cast("asyncio.Transport", self._transport).write(b"".join([_pack(each.command) for each in batch]))
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._look)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            self._reader.feed(data)
            while (value := self._reader.gets()) is not _NOTHING:
                self._settle(value)
        except (hiredis.ProtocolError, IndexError):  # an IndexError: an answer that nobody asked for
            self._give_up("speaks another protocol: is it a Valkey or Redis server?")

    def _settle(self, value: Any) -> None:  # noqa: ANN401 - any answer
        asked = self._sent.popleft()
        if asked.answer.done():  # its asker has gone
            return
        if isinstance(value, _ReplyText):
            asked.answer.set_exception(refusal(self._where, str(asked.command[0]), value.text))
        else:
            asked.answer.set_result(value)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._fail(f"hung up ({type(exc).__name__})" if exc else "hung up")

    def close(self) -> None:
        """End the connection; whoever still waits is told."""
        if self._transport is not None:
            self._transport.close()
        self._fail("was left: the connection was closed from this side")

    def _look(self) -> None:
        """Whether the oldest command has waited too long."""
        self._watch = None
        if not self._sent:
            return
        left = self._sent[0].at + self._timeout - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._give_up(f"did not answer within {self._timeout:g} s")

    def _give_up(self, reason: str) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        sent, self._sent = self._sent, deque()
        fail(sent, lambda: ValkeyAwayError(f"{self._where} {reason}"))


class _ReplyText(Exception):  # noqa: N818 - what the parser makes of an error's text; it is never raised
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


def fail(waiting: Iterable[Asked], error: Callable[[], Exception]) -> None:
    """Tell all who wait; each gets an error of its own, whose traceback nobody else extends."""
    for each in waiting:
        if not each.answer.done():
            each.answer.set_exception(error())
