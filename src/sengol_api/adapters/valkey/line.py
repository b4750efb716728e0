"""The way to the server from one event loop: connects when it is needed, and again after every loss."""

import asyncio
import contextvars
import copy
import errno
import os
import socket
import ssl
from collections.abc import Coroutine
from typing import Any, Final

from sengol_api.adapters.valkey.address import ValkeyAddress
from sengol_api.adapters.valkey.errors import ValkeyAwayError, ValkeyError, ValkeyRefusedError
from sengol_api.adapters.valkey.wire import Asked, Command, Wire, fail

MOST_WAITING: Final = 10_000
MOST_UNSENT: Final = 64 * 1024 * 1024
NAME: Final = "sengol-api"


class Line:
    """Commands of one event loop over one connection; those of one tick of the loop leave together.

    Connecting goes on when those who asked have given up: who asks later finds it done. A server that cannot be reached costs each
    who asks one attempt, and nobody is asked again behind their back.

    Args:
        address: of the server.
        timeout: seconds for an answer.
        connect_timeout: seconds for a connection, with its handshake.
    """

    def __init__(self, address: ValkeyAddress, timeout: float, connect_timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None
        self._unsent: list[Asked] = []
        self._background: set[asyncio.Task[None]] = set()
        self._tls = address.tls_context()

    def ask(self, command: Command) -> "asyncio.Future[Any]":
        """Send a command; the future is its answer."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        wire = self._live()
        if wire is None:
            full = len(self._unsent) >= MOST_WAITING
        else:
            full = wire.waiting + len(self._unsent) >= MOST_WAITING or wire.unsent >= MOST_UNSENT
        if full:
            answer.set_exception(ValkeyAwayError(f"{self._address} does not keep up: too many commands wait for it"))
            return answer
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(Asked(command, answer))
        return answer

    def _live(self) -> Wire | None:
        return self._wire if self._wire is not None and self._wire.alive else None

    def _flush(self) -> None:
        """Send what waits; what was not sent when the connection was lost goes over the next one."""
        wire = self._live()
        if wire is not None:
            unsent, self._unsent = self._unsent, []
            if batch := [each for each in unsent if not each.answer.done()]:
                wire.send(batch)
        elif self._connecting is None and self._unsent:
            # In a context of its own: the connection is for all, and no deadline of the first who asks binds it.
            self._connecting = self._loop.create_task(self._connected(), context=contextvars.Context(), name="valkey connection")
            self._connecting.add_done_callback(self._arrived)

    def _arrived(self, task: "asyncio.Task[Wire]") -> None:
        """Go on with the new connection, or tell those who wait that there is none."""
        self._connecting = None
        gone = ValkeyAwayError(f"{self._address} was not asked: the connection was closed from this side")
        error = gone if task.cancelled() else task.exception()
        if error is None:
            self._wire = task.result()
        if self._live() is not None:
            self._flush()
        elif isinstance(error, ValkeyError):
            self._fail_unsent(error)
        else:
            self._fail_unsent(ValkeyAwayError(f"{self._address} hung up" if error is None else f"{self._address}: {error!r}"))

    def _fail_unsent(self, error: ValkeyError) -> None:
        unsent, self._unsent = self._unsent, []
        fail(unsent, lambda: copy.copy(error))

    async def _connected(self) -> Wire:
        address = self._address
        wire = Wire(str(address), self._timeout)
        try:
            async with asyncio.timeout(self._connect_timeout):
                if address.path:
                    await self._loop.create_unix_connection(lambda: wire, address.path)
                else:
                    await self._loop.create_connection(lambda: wire, address.host, address.port, ssl=self._tls)
                await self._greet(wire)
        except ValkeyError:
            wire.close()
            raise
        except TimeoutError:
            wire.close()
            raise ValkeyAwayError(f"{address} gave no connection within {self._connect_timeout:g} s") from None
        except OSError as error:
            wire.close()
            raise ValkeyAwayError(f"{address} cannot be reached: {_said(error)}") from None
        except BaseException:
            wire.close()
            raise
        return wire

    async def _greet(self, wire: Wire) -> None:
        """Say who asks, and for which database; all in one round trip."""
        address = self._address
        commands: list[Command] = [("CLIENT", "SETNAME", NAME)]
        if address.database:
            commands.insert(0, ("SELECT", address.database))
        if address.password or address.username:
            user = (address.username,) if address.username else ()
            commands.insert(0, ("AUTH", *user, address.password))
        greeting = [Asked(command, self._loop.create_future()) for command in commands]
        wire.send(greeting)
        answers = await asyncio.gather(*(each.answer for each in greeting), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not (answer is answers[-1] and _about_the_name(answer)):
                raise answer

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Let work go on that nobody waits for, until the line is closed."""
        task = self._loop.create_task(work, context=contextvars.Context())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self) -> None:
        """End the connection and the work in the background; whoever still waits is told."""
        ending: list[asyncio.Task[Any]] = [*self._background, *([self._connecting] if self._connecting else [])]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        self._fail_unsent(ValkeyAwayError(f"{self._address} was not asked: the connection was closed from this side"))
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
            await asyncio.sleep(0)  # lets the transport close its socket


def _said(error: OSError) -> str:
    """What the operating system or TLS says, in its own words; asyncio puts an address in their place."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    known = error.errno is not None and error.errno in errno.errorcode and not isinstance(error, socket.gaierror)
    return os.strerror(error.errno or 0) if known else error.strerror or "no address of it answers"


def _about_the_name(error: BaseException) -> bool:
    """Whether the server only will not have the connection named, which is no reason to go without it."""
    return isinstance(error, ValkeyRefusedError) and error.code in ("ERR", "NOPERM")
