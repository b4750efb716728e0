"""Stopping without losing a request: not ready, no new connections, what is in flight finishes or is told, then everything closes.

::

    serving ──begin()──▶ draining ──delay──▶ stopping ──timeout──▶ cutting
                         not ready           no new connections    the rest is told, and cut

It ends as soon as the server says that all connections are closed, however far it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PATIENCE: Final = 5.0
"""Seconds for what was cut to answer, for connections and pools to close, and for the last hooks; then the process ends anyway."""
HOOK_SECONDS: Final = 2.0
_log = logging.getLogger(__name__)

Hook = Callable[[], Awaitable[object]]


class Phase(StrEnum):
    """How far the end of this process is."""

    SERVING = "serving"
    DRAINING = "draining"
    """Not ready any more, but all who come are served: whoever sends requests here has to hear of it first."""
    STOPPING = "stopping"
    """No new connections."""
    CUTTING = "cutting"
    """Time is over: what is left is told so."""


class Ticket:
    """A request in flight.

    Attributes:
        endless: an event stream that does not end by itself: it is told as soon as no new connections are taken.
        cut: it was told to end, by a cancellation of its task.
    """

    __slots__ = ("cut", "endless", "task")

    def __init__(self, task: "asyncio.Task[object] | None") -> None:
        self.task = task
        self.endless = False
        self.cut = False


@dataclass(frozen=True, slots=True)
class DrainSnapshot:
    """How the process stands.

    Attributes:
        phase: how far its end is.
        in_flight: requests that are being answered.
        cut: requests that were cut because the time was over.
    """

    phase: Phase
    in_flight: int
    cut: int


class Drain:
    """The end of one process: counts what is in flight, and brings it to its end.

    Args:
        delay: seconds between "not ready" and the end of listening.
        timeout: seconds that requests in flight have after that.
    """

    def __init__(self, *, delay: float = 0.0, timeout: float = 30.0) -> None:
        self._delay = delay
        self._timeout = timeout
        self._tickets: set[Ticket] = set()
        self._hooks: list[tuple[str, Hook]] = []
        self._closed = asyncio.Event()
        self._run: asyncio.Task[object] | None = None
        self._cut = 0
        self.phase = Phase.SERVING

    @property
    def why_not_ready(self) -> str | None:
        """Why this replica should be sent nothing; None while it serves."""
        return None if self.phase is Phase.SERVING else "it is stopping"

    @property
    def draining(self) -> bool:
        """Whether the end has begun: connections are not kept for another request."""
        return self.phase is not Phase.SERVING

    def enter(self) -> Ticket:
        """Begin to answer a request, in the task that does it; it is in flight until :meth:`leave`."""
        ticket = Ticket(asyncio.current_task())
        self._tickets.add(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """The request is answered."""
        self._tickets.discard(ticket)

    def endless(self, ticket: Ticket) -> None:
        """This request is an event stream without an end of its own: it is cut as soon as no new connections are taken."""
        ticket.endless = True
        if self.phase in (Phase.STOPPING, Phase.CUTTING):
            self._tell(ticket)

    def at_end(self, name: str, hook: Hook) -> None:
        """Do something when everything is closed (flush telemetry). It has two seconds, and may fail."""
        self._hooks.append((name, hook))

    def begin(self) -> None:
        """Not ready from now on."""
        if self.phase is Phase.SERVING:
            self.phase = Phase.DRAINING
            _log.info("stopping", extra={"inFlight": len(self._tickets), "delayMs": round(self._delay * 1000)})

    async def run(self, stop_listening: Callable[[], object], leave: Callable[[], object]) -> None:
        """From the first step to the last.

        Args:
            stop_listening: makes the server take no new connections, finish those it has, and then let the application close.
            leave: ends the process when that does not come in time.
        """
        self._run = asyncio.current_task()
        self.begin()
        if await self._closes_within(self._delay):
            return
        self.phase = Phase.STOPPING
        stop_listening()
        for ticket in [each for each in self._tickets if each.endless]:
            self._tell(ticket)
        if await self._closes_within(self._timeout):
            return
        self.phase = Phase.CUTTING
        if left := list(self._tickets):
            _log.warning("time is over for requests in flight", extra={"cut": len(left), "afterMs": round(self._timeout * 1000)})
        for ticket in left:
            self._tell(ticket)
        if await self._closes_within(PATIENCE):
            return
        # A client that reads nothing holds its connection, and with it the server; and a request may refuse to end.
        _log.warning("something does not close and is left behind", extra={"inFlight": len(self._tickets)})
        await self._run_hooks()
        flush_logs()
        leave()

    async def closed(self) -> None:
        """All is closed: the hooks run, and the end is reached."""
        await self._run_hooks()
        self._closed.set()
        flush_logs()  # a process that a server has forked ends without the steps that Python does at an exit
        if self._run is not None:
            await asyncio.wait({self._run}, timeout=1.0)

    def snapshot(self) -> DrainSnapshot:
        """How the process stands."""
        return DrainSnapshot(self.phase, len(self._tickets), self._cut)

    def _tell(self, ticket: Ticket) -> None:
        if not ticket.cut and ticket.task is not None:
            ticket.cut = True
            self._cut += 1
            ticket.task.cancel("the process stops")

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return False
        return True

    async def _run_hooks(self) -> None:
        while self._hooks:
            name, hook = self._hooks.pop()
            try:
                async with asyncio.timeout(HOOK_SECONDS):
                    await hook()
            except Exception as error:  # noqa: BLE001 - the end comes, whatever a hook does
                _log.warning("a last step failed", exc_info=error, extra={"step": name})


def flush_logs() -> None:
    """Let the last lines go out."""
    for handler in logging.getLogger().handlers:
        handler.flush()
