"""Replicas of the service as they run in production: one PostgreSQL, one Valkey, a real haproxy before them."""

import asyncio
import os
import secrets
import shutil
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from sys import executable
from typing import Final

import yaml

from support.due import unavailable
from support.haproxy import Haproxy
from support.postgres import PostgresServer, postgres_process
from support.process import environment
from support.service_process import ServiceProcess, free_ports
from support.valkey import ValkeyServer, valkey_server

REPLICAS: Final = 4
PATIENCE: Final = 120.0
"""Seconds for a start on a machine that has much else to do."""


def shipped_settings() -> dict[str, str]:
    """What the compose file says of drains and time limits."""
    given = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    named = given["x-api"]["environment"]
    return {name: str(value) for name, value in named.items() if name.startswith("SHUTDOWN_")}


class Replica(ServiceProcess):
    """``sengol-api serve`` on a port of its own; ``kill`` is ``kill -9`` of the parent and of its worker.

    Args:
        folder: for its data directory and its log.
        number: its place among the others.
        settings: by the names of their variables.
    """

    def __init__(self, folder: Path, number: int, settings: Mapping[str, str]) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.name = f"api-{number}"
        data = folder / self.name
        command = [executable, "-m", "sengol_api", "serve", "--port", str(self.port), "--data-dir", str(data)]
        super().__init__(
            command,
            log=folder / f"{self.name}.log",
            is_ready=self.ready,
            environment=environment(**settings),
            children=True,
        )

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def drain(self) -> int | None:
        """SIGTERM, and wait until it is gone; its exit code."""
        self.stop(signal.SIGTERM, patience=60)
        return self.exit_code


class Stage:
    """What replicas share: a PostgreSQL and a Valkey.

    Attributes:
        postgres: with an empty database to begin with.
        valkey: empty.
        settings: that let a replica use them.
    """

    def __init__(self, folder: Path, postgres: PostgresServer, valkey: ValkeyServer) -> None:
        self.folder = folder
        self.postgres = postgres
        self.valkey = valkey
        self.settings = {
            "ENVIRONMENT": "production",
            "JWT_SECRET": secrets.token_urlsafe(48),
            "DATABASE_URL": postgres.url.format("postgres"),
            "REDIS_URL": valkey.url,
            "TRUSTED_PROXIES": "127.0.0.1",
            "LOG_LEVEL": "warning",
            "LOGIN_LIMIT_PER_MINUTE": "1000000",
            **shipped_settings(),
        }


class Cluster:
    """Four replicas and the proxy before them.

    Args:
        stage: what they share.
        name: of their folder.
        settings: beside those of the stage.
    """

    def __init__(self, stage: Stage, name: str, settings: Mapping[str, str]) -> None:
        folder = stage.folder / name
        folder.mkdir()
        self.stage = stage
        self.replicas = [Replica(folder, number, {**stage.settings, **settings}) for number in range(1, REPLICAS + 1)]
        self.proxy = Haproxy(folder, [each.port for each in self.replicas])

    @property
    def address(self) -> tuple[str, int]:
        """Of the proxy."""
        return "127.0.0.1", self.proxy.port

    def start(self) -> None:
        """All at once, and the proxy, which takes all of them for well in the end."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: each.start(patience=PATIENCE), self.replicas))
        self.proxy.start()
        self.settle()

    def settle(self) -> None:
        """What was ended is started again; returns when the proxy sends requests to all."""
        for each in self.replicas:
            if not each.running:
                each.start(patience=PATIENCE)
        until(self.all_up, PATIENCE)

    def all_up(self) -> bool:
        """Whether the proxy sends requests to all."""
        return set(self.proxy.states().values()) == {"UP"}

    def kill(self) -> None:
        """Nothing of it is left."""
        for each in (self.proxy, *self.replicas):
            each.kill()


def until(condition: Callable[[], object], patience: float = 30.0) -> float:
    """Ask until it is so; the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < patience, "it did not come true"
        time.sleep(0.02)
    return time.monotonic() - began


async def eventually(condition: Callable[[], Awaitable[object]], patience: float = 30.0) -> float:
    """Ask a coroutine until it is so; the moment, on ``time.monotonic``."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < patience, "it did not come true"
        await asyncio.sleep(0.01)
    return time.monotonic()


@contextmanager
def stage() -> Iterator[Stage]:
    """A PostgreSQL and a Valkey, started; skips where something is missing, but fails where ``CI`` is set."""
    if shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        unavailable("haproxy", "no haproxy here (Debian and Ubuntu: apt-get install haproxy)")
    folder = Path(tempfile.mkdtemp(prefix="sengol-replicas-"))
    try:
        with ExitStack() as stack:
            postgres = stack.enter_context(postgres_process())
            (folder / "valkey").mkdir()
            yield Stage(folder, postgres, stack.enter_context(valkey_server(folder / "valkey")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def cluster(on: Stage, name: str, **settings: str) -> Iterator[Cluster]:
    """Replicas that run; they are killed afterwards."""
    made = Cluster(on, name, settings)
    try:
        made.start()
        yield made
    finally:
        made.kill()
