"""Keeps the index what the records are, in a task of its own, and knows whether it may serve.

It asks for nobody's leave and needs no traffic: when a server that lost everything is back, the index is built again.
"""

import asyncio
import contextvars
import logging
from contextlib import suppress
from typing import Final

from sengol_api.adapters.dvecdb.builder import RecordsMoved
from sengol_api.adapters.dvecdb.errors import IndexRebuilding
from sengol_api.adapters.dvecdb.journal import Edit, Journal
from sengol_api.adapters.dvecdb.names import Names
from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.dvecdb.protocol import Rest
from sengol_api.adapters.dvecdb.records import Records
from sengol_api.adapters.dvecdb.state import Progress, Serving, Standing
from sengol_api.adapters.dvecdb.tender import Tender
from sengol_api.resilience import Clock, Pipeline, Rejected, TimedOut
from sengol_api.resilience.backoff import exponential
from sengol_api.review.errors import AppError

FIRST_DELAY: Final = 1.0
PATIENCE: Final = 1.0
"""Seconds that a search waits for the first look after a start."""

_log = logging.getLogger(__name__)


class Keeper:
    """The state of one index, and the task that tends it.

    Args:
        rest: the server.
        line: the pipeline for everything that is no search.
        records: the store of record.
        names: of the collections.
        options: of the client.
        clock: whose time counts.
    """

    def __init__(self, rest: Rest, line: Pipeline, records: Records, names: Names, options: DvecdbOptions, *, clock: Clock) -> None:
        self._check_interval = options.check_interval
        self._standing = Standing(clock)
        self._journal = Journal()
        self._tender = Tender(rest, line, records, names, options, standing=self._standing, journal=self._journal, clock=clock)
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop

    # For those who search -------------------------------------------------------------------------------------------

    @property
    def serving(self) -> Serving | None:
        """What searches are answered from; None when they cannot be."""
        return self._standing.serving

    @property
    def progress(self) -> Progress:
        """Of the building."""
        return self._standing.progress

    async def ready(self) -> Serving:
        """What to search in.

        Raises:
            IndexNotReady: nothing, so far.
            IndexRebuilding: nothing, until it is built.
        """
        serving = self._standing.serving
        if serving is None and self._loop is asyncio.get_running_loop() and not self._looked.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._looked.wait(), PATIENCE)
            serving = self._standing.serving
        if serving is None:
            raise self._standing.why_not()
        return serving

    def lost(self, serving: Serving) -> IndexRebuilding:
        """The server does not have this collection any more. Gives the error for who searched in it."""
        if self._standing.drop(serving):
            self._standing.expect_build(serving.count)
            _log.warning("d-vecDB has lost the index: it is built again from the records", extra={"total": serving.count})
            self.look_now()
        facts = {"done": 0, "total": serving.count}
        return IndexRebuilding("d-vecDB has lost the index; it is being built again from the records.", facts)

    def changed(self, edit: Edit) -> None:
        """The records were changed through this client."""
        self._journal.add(edit)
        self.start()
        if self._standing.serving is None:
            self._journal.give_up()
        self.look_now()

    # The task -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """See that the task runs: in the running event loop, unless it does in another one."""
        task, loop = self._task, asyncio.get_running_loop()
        if task is not None and not task.done() and (self._loop is loop or self._loop.is_running()):
            return
        if task is not None and not task.done():  # its event loop stands still, for ever as far as anybody knows
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(task.cancel)
        self._loop = loop
        self._kicked = asyncio.Event()
        self._looked = asyncio.Event()
        self._standing.forget()  # whatever was known may be long ago
        # In a context of its own: the deadline of whoever happens to come first is not the task's.
        self._task = loop.create_task(self._run(), name="d-vecdb keeper", context=contextvars.Context())

    def look_now(self) -> None:
        """Do not wait for the next look."""
        with suppress(RuntimeError):  # its event loop was closed
            self._loop.call_soon_threadsafe(self._kicked.set)

    async def stop(self) -> None:
        """End the task. What was built so far stays in the server, for the next one to go on with."""
        task, self._task = self._task, None
        self._standing.forget()
        self._journal.give_up()
        if task is None or task.done() or self._loop.is_closed():
            return
        if self._loop is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait({task})
        else:
            self._loop.call_soon_threadsafe(task.cancel)

    async def _run(self) -> None:
        failures = 0
        while self._task is asyncio.current_task():
            delay = self._check_interval
            try:
                await self._tender.look()
                failures = 0
                self._standing.succeeded()
            except RecordsMoved:
                delay = 0.0
            except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on and the work is tried again
                failures += 1
                delay = self._after(error, failures)
            self._looked.set()
            if self._standing.serving is None:
                self._journal.give_up()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kicked.wait(), delay)
            self._kicked.clear()

    def _after(self, error: Exception, failures: int) -> float:
        """Seconds to wait after a failure, which is told."""
        told = getattr(error, "retry_after", None)
        delay = max(exponential(failures, FIRST_DELAY, 2.0, self._check_interval), told if isinstance(told, int | float) else 0.0)
        said = type(error).__name__
        if isinstance(error, AppError | Rejected | TimedOut):  # others may say anything
            said += f": {error}"
        if self._standing.failed(said):
            _log.warning("the index in d-vecDB could not be looked after: %s", said, extra={"againIn": round(delay, 1)})
        return delay
