"""The wired service over a part of the real corpus, with upstreams over real sockets that fail as they are told."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sengol_api import bootstrap
from sengol_api.api.services import Services
from sengol_api.review.facts import ReviewRequest
from sengol_api.settings import load
from support.assisted import helpful
from support.openai_faults import OpenAIFaults
from support.tcp_proxy import TcpProxy, tcp_proxy

KEPT = 1200
"""Incidents of the corpus that the tests keep: an index of them is built in seconds."""


@pytest.fixture(scope="session")
def part_of_the_corpus(tmp_path_factory) -> Path:
    """A data directory with some of the incidents."""
    folder = tmp_path_factory.mktemp("faults") / "data"
    asyncio.run(bootstrap.prepare(load({"DATA_DIR": str(folder)})))
    database = sqlite3.connect(folder / "sengol.sqlite3")
    database.execute("PRAGMA foreign_keys=ON")
    keep = "SELECT id FROM incidents ORDER BY substr(digest, 1, 8) LIMIT ?"
    database.execute(f"DELETE FROM incidents WHERE origin != 'sengol' AND id NOT IN ({keep})", [KEPT])
    database.commit()
    database.execute("VACUUM")
    database.close()
    return folder


@pytest.fixture
def data_dir(part_of_the_corpus, tmp_path) -> Path:
    """A copy of the test's own."""
    shutil.copytree(part_of_the_corpus, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def openai() -> Iterator[OpenAIFaults]:
    """A model that does as it is asked, until it is told to fail."""
    server = OpenAIFaults(seed=7)
    server.reply = helpful
    yield server
    server.close()


@pytest.fixture
def proxied():
    """Puts a proxy before a port; all are closed afterwards."""
    opened = []

    def before(port: int) -> TcpProxy:
        context = tcp_proxy(port)
        opened.append(context)
        return context.__enter__()

    yield before
    for context in reversed(opened):
        context.__exit__(None, None, None)


@pytest.fixture
def service(data_dir):
    """Opens the service with settings."""

    @asynccontextmanager
    async def opened(**settings: object) -> AsyncIterator[Services]:
        given = {"DATA_DIR": str(data_dir), "LOG_LEVEL": "error", **{name: str(value) for name, value in settings.items()}}
        async with bootstrap.open_services(load(given)) as services:
            yield services

    return opened


def a_request(number: int = 0) -> ReviewRequest:
    """A system; another number is another system."""
    return ReviewRequest(
        description=f"A chatbot answers patients from their medical records and books appointments; clinic number {number}",
        domains=frozenset({"ai", "cyber", "cloud"}),
        industry="healthcare",
        jurisdictions=frozenset({"Germany"}),
    )
