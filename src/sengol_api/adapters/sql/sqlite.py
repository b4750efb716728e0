"""What every connection to SQLite is told, and reads that cost one change of threads each."""

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import sqlalchemy as sa

BUSY_TIMEOUT_MS: Final = 5000
WRITES: Final = "sengol_writes"
"""The execution option of a connection whose transactions write."""
READERS: Final = 2
"""Threads: one more than needed, so that a long read does not hold up all others."""


def configure(engine: sa.Engine) -> None:
    """Tell every connection of an engine how to be durable, and to wait its turn."""

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's adapter has no public type
        connection.isolation_level = None  # we begin transactions ourselves, below
        cursor = connection.cursor()
        write_ahead(cursor)
        for pragma in (
            "synchronous=FULL",  # what was acknowledged survives a power cut, not only a crash
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A deferred transaction that turns into a writer fails at once when another wrote since; an immediate one waits.
        # A read is one statement, which is a transaction of its own.
        if connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def write_ahead(cursor: Any, seconds: float = BUSY_TIMEOUT_MS / 1000) -> None:  # noqa: ANN401 - of either driver
    """Let the file have a write-ahead log, of which each of its connections is to be told.

    Of several processes that open a new file at once one turns it. The others are told that it is locked, without the wait that
    SQLite has everywhere else: so it is here. It holds the event loop for milliseconds, at a start with a new file.

    Args:
        cursor: of a new connection.
        seconds: to wait at most.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.005)
        else:
            return


class SqliteReader:
    """Answers single statements in threads of its own.

    A driver for asyncio changes threads for every step of a read: the cursor, the statement, the rows, the end. Eight changes
    take four times as long as the read itself, and more beside a thread that computes.

    Args:
        url: of the file.
    """

    def __init__(self, url: sa.URL) -> None:
        # Every statement is a transaction of its own, so there is nothing to take back.
        self._engine = sa.create_engine(
            url.set(drivername="sqlite"), hide_parameters=True, pool_size=READERS, max_overflow=0, pool_reset_on_return=None
        )
        configure(self._engine)
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite")

    async def rows(self, statement: sa.Executable, values: Mapping[str, object]) -> Sequence[sa.Row[Any]]:
        """All rows of a statement. Who is cancelled while it waits leaves nothing behind: the thread ends its read by itself."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._rows, statement, values)

    def _rows(self, statement: sa.Executable, values: Mapping[str, object]) -> Sequence[sa.Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(statement, values).all()

    def close(self) -> None:
        """Let reads end, and close the connections."""
        self._threads.shutdown(wait=True)
        self._engine.dispose()
