"""The image of the Dockerfile, built and run: who runs what in it, with which rights, and how it ends. ``make image``."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from support.image import Image, image
from support.process import children
from support.service_process import ServiceProcess, free_ports

pytestmark = pytest.mark.image
SECRET = "a secret of forty characters for the test"
PYTHON = "/opt/sengol/bin/python"
ASKED = {
    "systemDescription": "A chatbot answers patients of a hospital from their medical records, with a language model, on AWS",
    "selectedDomains": ["ai", "cyber"],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Iterator[Image]:
    """The image."""
    with image(tmp_path_factory.mktemp("image")) as made:
        yield made


class Running(ServiceProcess):
    """A container that serves."""

    def __init__(self, made: Image, log: Path) -> None:
        (self.port,) = free_ports(1)
        command = made.command(HOST="127.0.0.1", PORT=str(self.port), JWT_SECRET=SECRET)
        super().__init__(command, log=log, is_ready=lambda: self.ask("GET", "/health/ready")[0] == 200)
        self._token: str | None = None

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict]:
        """Status and answer."""
        line = HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        try:
            line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            line.close()

    def register(self) -> None:
        """Be somebody from now on."""
        account = {"email": "me@example.com", "password": "a long passphrase"}
        self._token = self.ask("POST", "/api/auth/register", account)[1]["data"]["token"]

    @property
    def first(self) -> int:
        """The first process of its namespace."""
        (child,) = children(self.pid)
        return child

    def kill(self) -> None:
        """With all that runs inside: it has another user, so that its end is not bound to that of who started it."""
        for first in children(self.pid) if self.running else ():
            os.kill(first, signal.SIGKILL)
        super().kill()

    def end(self, patience: float = 30) -> int | None:
        """Stop it as an engine does; its exit code, None for one that goes on."""
        os.kill(self.first, signal.SIGTERM)
        until = time.monotonic() + patience
        while self.running and time.monotonic() < until:
            time.sleep(0.05)
        return self.exit_code


@pytest.fixture
def running(built, tmp_path) -> Iterator[Running]:
    """The image, serving."""
    container = Running(built, tmp_path / "log")
    container.start(patience=90)
    yield container
    container.kill()


def test_it_says_who_runs_it_and_how_it_is_seen_to_be_alive(built):
    config = built.config
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("10001:10001", ["sengol-api"], ["serve"])
    assert (config["ExposedPorts"].keys(), config["Volumes"].keys()) == ({"4000/tcp"}, {"/data"})
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert not [line for line in config["Env"] if "SECRET" in line or "KEY" in line]


def test_it_holds_nothing_that_only_its_building_needs_and_nothing_that_it_could_change(built):
    names = {each.name.partition("-")[0] for each in (built.root / "opt/sengol/lib").glob("python3*/site-packages/*.dist-info")}
    assert {"sengol_api", "granian", "numpy"} <= names
    assert names.isdisjoint({"hatchling", "pathspec", "pluggy", "pytest", "mypy"})
    assert not (built.root / "build").exists()
    assert list(built.root.glob("opt/sengol/lib/python3*/site-packages/sengol_api/__pycache__/cli.*.pyc"))
    theirs = [
        path
        for path in (built.root / "opt").rglob("*")
        if path.lstat().st_uid or (path.lstat().st_mode & 0o022 and not path.is_symlink())
    ]
    assert theirs == []


def test_without_a_secret_it_says_what_it_wants_and_does_not_serve(built):
    done = subprocess.run(built.command(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode not in {0, -signal.SIGKILL}
    assert "JWT_SECRET" in done.stdout + done.stderr


def test_it_reviews_without_rights_and_ends_in_order_as_the_first_process(built, running):
    running.register()
    review = running.ask("POST", "/api/review", {})[1]["data"]["id"]
    status, answer = running.ask("POST", f"/api/review/{review}/generate-questions", ASKED)
    assert status == 200
    assert len(answer["data"]["riskQuestions"]) > 20
    facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{running.first}/status").read_text().splitlines() if ":\t" in line)
    assert facts["NSpid"].split()[-1] == "1"
    assert facts["Uid"].split() == ["10001"] * 4
    assert (facts["NoNewPrivs"], int(facts["CapEff"], 16)) == ("1", 0)
    assert built.within(running.first, *_path(built.config["Healthcheck"]["Test"][1:])).returncode == 0
    for place in ("/", "/opt/sengol", "/usr/bin", "/etc"):
        tried = built.within(running.first, PYTHON, "-c", f"open({place!r} + '/new', 'w')")
        assert "Read-only file system" in tried.stderr, place
    assert built.within(running.first, PYTHON, "-c", "open('/data/new', 'w')").returncode == 0
    assert running.end() == 0
    lines = [json.loads(line) for line in running.output.splitlines() if line.startswith("{")]
    assert [line["message"] for line in lines if line["level"] in {"warning", "error"}] == []
    assert "stopping" in [line["message"] for line in lines]


def test_one_that_is_frozen_is_seen_to_be_so(built, running):
    check = _path(built.config["Healthcheck"]["Test"][1:])
    assert built.within(running.first, *check).returncode == 0
    for worker in children(running.first):
        os.kill(worker, signal.SIGSTOP)  # what ends the test ends it all the same
    assert built.within(running.first, *check).returncode != 0


def _path(command: list[str]) -> list[str]:
    """A command of the image with the path of its program, which engines look up by the image's PATH."""
    return [f"/opt/sengol/bin/{command[0]}", *command[1:]]
