"""Fixtures of the servers that clients are tested against; a test module says ``pytest_plugins = ["support.fixtures"]``."""

from collections.abc import Iterator

import pytest

from support.dvecdb.fake import FakeDvecdb, fake_dvecdb
from support.dvecdb.real import DvecdbServer, dvecdb_server
from support.openai_faults import OpenAIFaults, openai_faults
from support.valkey import ValkeyServer, valkey_server

FAKE_AND_REAL = [pytest.param("fake", id="fake"), pytest.param("real", id="real", marks=pytest.mark.dvecdb)]


@pytest.fixture(scope="session")
def real_dvecdb(tmp_path_factory) -> Iterator[DvecdbServer]:
    """The real d-vecDB, shared by all tests: each makes collections of its own and never stops the server."""
    with dvecdb_server(tmp_path_factory.mktemp("d-vecdb")) as server:
        yield server


@pytest.fixture
def a_fake_dvecdb() -> Iterator[FakeDvecdb]:
    """A fake d-vecDB."""
    with fake_dvecdb() as fake:
        yield fake


@pytest.fixture(params=FAKE_AND_REAL)
def dvecdb(request) -> Iterator[FakeDvecdb | DvecdbServer]:
    """A fake d-vecDB, then the shared real one."""
    if request.param == "real":
        yield request.getfixturevalue("real_dvecdb")
    else:
        with fake_dvecdb() as fake:
            yield fake


@pytest.fixture(params=FAKE_AND_REAL)
def own_dvecdb(request, tmp_path) -> Iterator[FakeDvecdb | DvecdbServer]:
    """A fake d-vecDB, then a real one, that the test may restart and kill."""
    if request.param == "real":
        with dvecdb_server(tmp_path) as server:
            yield server
    else:
        with fake_dvecdb() as fake:
            yield fake


@pytest.fixture
def openai_server() -> Iterator[OpenAIFaults]:
    """A server of the OpenAI protocol, healthy until it is told otherwise."""
    with openai_faults() as server:
        yield server


@pytest.fixture
def valkey(tmp_path) -> Iterator[ValkeyServer]:
    """A real Valkey on a port of its own, that the test may freeze and kill."""
    with valkey_server(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory) -> Iterator[ValkeyServer]:
    """A real Valkey for tests that neither stop nor configure it."""
    with valkey_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def empty_valkey(shared_valkey) -> ValkeyServer:
    """The same with nothing in it."""
    shared_valkey.flush()
    return shared_valkey
