"""Four replicas behind the shipped proxy, for all tests of the folder; and what they measure on the way."""

import asyncio
import sys
import uuid
from collections.abc import Callable, Iterator

import pytest

from support.cluster import Cluster, Stage, cluster, stage
from support.load import register

LIMIT = 600
"""Requests of a user in a minute."""
_FIGURES = pytest.StashKey[list[str]]()
_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them take long, and are run by ``make e2e``."""
    for item in items:
        if "tests/replicas/" in item.path.as_posix():
            item.add_marker("replicas")


@pytest.fixture
def figure(request) -> Callable[[str], None]:
    """Takes a line of what was measured, to be printed in the end."""
    return request.config.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """What was measured: figures, and no judgement."""
    lines = config.stash.get(_FIGURES, [])
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def on_stage() -> Iterator[Stage]:
    """PostgreSQL and Valkey."""
    with stage() as shared:
        yield shared


@pytest.fixture(scope="session")
def _replicas(on_stage) -> Iterator[Cluster]:
    with cluster(on_stage, "replicas", RATE_LIMIT_PER_MINUTE=str(LIMIT)) as running:
        yield running


@pytest.fixture
def replicas(_replicas) -> Cluster:
    """Four replicas that are all well when a test begins."""
    _replicas.settle()
    return _replicas


@pytest.fixture
def a_user(replicas):
    """Registers a user; gives the headers of his requests."""

    async def made() -> dict[str, str]:
        return await register(replicas.address, f"{uuid.uuid4().hex}@example.com")

    return made


@pytest.fixture(autouse=True)
async def _hung_up():
    """Lets the sockets close before the loop of a test does."""
    yield
    await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _told(request):
    """What the proxy and the replicas said, where a test failed."""
    yield
    if request.node.stash.get(_FAILED, False):
        running = [each for each in request.node.funcargs.values() if isinstance(each, Cluster)]
        for each in [part for found in running for part in (found.proxy, *found.replicas)]:
            told = [line[:300] for line in each.output.splitlines() if line.startswith(("{", "[", "Server")) or " 50" in line]
            sys.stdout.write("\n".join([f"--- {each.name}", *told[-25:], ""]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Remembers whether a test failed, for its fixtures."""
    report = yield
    if call.when == "call":
        item.stash[_FAILED] = report.failed
    return report
