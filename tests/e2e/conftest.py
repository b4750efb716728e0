"""The real process, with the real corpus, on a port that was free."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from support.process import children, environment

READY = re.compile(rb"Sengol API is ready at http://(\S+?):(\d+)")
PASSWORD = "a long passphrase"


class Server:
    """``python -m sengol_api serve`` in a process group of its own, so that its workers end with it.

    Args:
        data_dir: that it is started on.
        options: of the command.
        program: another command that takes the same options.
        settings: by the names of their variables.
    """

    def __init__(self, data_dir: Path, *options: str, program=("sengol_api", "serve"), **settings: str) -> None:
        self.data_dir = data_dir
        self._errors = (data_dir.parent / f"{data_dir.name}-{os.urandom(4).hex()}.log").open("w+b")
        command = [sys.executable, "-m", *program, "--port", "0", "--data-dir", str(data_dir), *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(**settings),
            cwd=data_dir.parent,
            start_new_session=True,
        )
        self.said = b""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said += line
            if match := READY.search(line):
                self.url = f"http://127.0.0.1:{int(match[2])}"
                self._ready.set()
        self._ready.set()  # the process ended, ready or not

    def wait_until_ready(self) -> "Server":
        """Until it says where it listens."""
        self._ready.wait(120)
        assert self.url, f"not ready: {self.said.decode()}\n{self.errors}"
        return self

    @property
    def errors(self) -> str:
        """What it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def client(self, **headers: str) -> httpx2.Client:
        """A client of it."""
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60)

    def log_in(self, email="reviewer@example.com", *, register=True) -> httpx2.Client:
        """A client with a token."""
        route = "register" if register else "login"
        answer = httpx2.post(f"{self.url}/api/auth/{route}", json={"email": email, "password": PASSWORD}, timeout=60)
        assert answer.is_success, answer.text
        return self.client(Authorization=f"Bearer {answer.json()['data']['token']}")

    @property
    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        return sorted(children(self.process.pid))

    def kill(self) -> None:
        """``kill -9`` of the server and all of its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Nothing of it is left."""
        self.kill()
        self._reader.join()
        self.process.stdout.close()
        self._errors.close()


@pytest.fixture(scope="session")
def first_start(tmp_path_factory) -> Iterator[Server]:
    """The first start in an empty folder, which loads the corpus."""
    server = Server(tmp_path_factory.mktemp("first") / "data")
    try:
        yield server.wait_until_ready()
    finally:
        server.close()


@pytest.fixture(scope="session")
def loaded(first_start, tmp_path_factory) -> Path:
    """A data directory with the corpus and without accounts, to be copied: what SQLite has in its log is in the file."""
    import sqlite3

    target = tmp_path_factory.mktemp("loaded") / "data"
    target.mkdir(mode=0o700)
    source, copy = sqlite3.connect(first_start.data_dir / "sengol.sqlite3"), sqlite3.connect(target / "sengol.sqlite3")
    source.backup(copy)
    for table in ("answers", "question_sets", "reviews", "users"):
        copy.execute(f"DELETE FROM {table}")
    copy.commit()
    source.close()
    copy.close()
    return target


@pytest.fixture
def data_dir(loaded, tmp_path) -> Path:
    """A loaded data directory of the test's own."""
    shutil.copytree(loaded, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def start(data_dir) -> Iterator[Callable[..., Server]]:
    """Starts servers on the test's data directory; all are stopped afterwards."""
    started = []

    def begin(*options: str, **settings: str) -> Server:
        started.append(Server(data_dir, *options, **settings))
        return started[-1]

    yield begin
    for server in started:
        server.close()


@contextmanager
def small_services(folder: Path) -> Iterator[Callable[..., Server]]:
    """Starts the small service of the tests' support, whose main job does what the description says."""
    started = []

    def begin(*options: str, **settings: str) -> Server:
        (folder / "data").mkdir(exist_ok=True)
        paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        started.append(Server(folder / "data", *options, program=("support.small_service",), PYTHONPATH=paths, **settings))
        return started[-1]

    yield begin
    for server in started:
        server.close()


@pytest.fixture
def small(tmp_path) -> Iterator[Callable[..., Server]]:
    """Starts small services on one data directory; all are stopped afterwards."""
    with small_services(tmp_path) as begin:
        yield begin


@pytest.fixture(scope="module")
def shared_small(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """The same for all tests of a module."""
    with small_services(tmp_path_factory.mktemp("small")) as begin:
        yield begin


@pytest.fixture
def command(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs the command line to its end."""

    def run(*arguments: str, cwd=tmp_path, **settings: str) -> subprocess.CompletedProcess:
        line = [sys.executable, "-m", "sengol_api", *map(str, arguments)]
        wide = environment(COLUMNS="250", **settings)
        return subprocess.run(line, capture_output=True, text=True, env=wide, cwd=cwd, timeout=120, check=False)

    return run
