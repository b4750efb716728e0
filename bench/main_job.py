"""Speed and size of the main job, over HTTP against the real server: ``make bench``. It prints figures and judges nothing.

The client is the standard library's on one kept connection: a richer one takes milliseconds of its own, which are not the
service's.
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SYSTEMS = (
    "A chatbot that answers patients' questions from medical records and books appointments; language model with retrieval on AWS",
    "A payment platform for online shops: card checkout, fraud scoring by machine learning, Kubernetes, PostgreSQL, Kafka",
    "A plant's control system with sensors, remote maintenance by VPN, and dashboards in a public cloud",
    "A hiring tool that ranks applicants' resumes with a language model for employers in three countries",
    "A learning app for schools with video lessons, a tutor bot, and pupils' results in a data warehouse",
)
UNLIMITED = {"RATE_LIMIT_PER_MINUTE": "1000000000", "LOGIN_LIMIT_PER_MINUTE": "1000000000"}
DOMAINS = ["ai", "cyber", "cloud"]


@contextmanager
def server(data_dir: Path, *options: str, pinned: int | None = None, **settings: str) -> Iterator[tuple[str, int, float]]:
    """A running server, on one core if so wished: its address, its process id, and the seconds until it was ready."""
    started = time.perf_counter()
    command = [] if pinned is None else ["taskset", "-c", str(pinned)]
    command += [sys.executable, "-m", "sengol_api", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    environment = {**os.environ, "LOG_LEVEL": "warning", "PYTHONUNBUFFERED": "1", **UNLIMITED, **settings}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"ready at (http://\S+?),", line):
                yield found[1], process.pid, time.perf_counter() - started
                break
        else:
            raise SystemExit("the server did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def with_environment(values: dict[str, str]) -> Iterator[None]:
    """The servers that are started inside have these settings too."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def resident_mib(pid: int, what: str = "VmRSS") -> float:
    """Resident memory of a process and its children, MiB; with ``RssAnon`` only what they made, without the files they read."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return (int(own[1]) / 1024 if own else 0.0) + sum(resident_mib(int(child), what) for child in children)


def processor_seconds(pid: int) -> float:
    """Processor time that a process and all that it has started have had, those that have ended included."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(processor_seconds(int(child)) for child in children)


class Client:
    """One kept connection that sends and reads JSON."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self.headers = {"Content-Type": "application/json"}

    def send(self, method: str, path: str, body: object = None) -> bytes:
        """The body of the answer."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self.headers)
        answer = self._connection.getresponse()
        received = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {received[:500]!r}")
        return received

    def data(self, method: str, path: str, body: object = None) -> Any:
        """The data of the answer."""
        return json.loads(self.send(method, path, body))["data"]


def timed(runs: int, call: Callable[[int], bytes]) -> tuple[list[float], bytes]:
    """Milliseconds of each run, and the last answer."""
    times = []
    for run in range(runs):
        started = time.perf_counter()
        answer = call(run)
        times.append((time.perf_counter() - started) * 1000)
    return times, answer


def row(name: str, times: list[float], target: str) -> None:
    """Print median and tail."""
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"  {name:<44} p50 {statistics.median(ordered):8.1f} ms   p99 {p99:8.1f} ms   n {len(ordered):<4} target {target}")


def fact(name: str, value: str, target: str = "-") -> None:
    """Print one figure."""
    print(f"  {name:<44} {value:<42} target {target}")


def measure(address: str, runs: int) -> None:
    """The requests of a reviewer."""
    client = Client(address)
    account = {"email": f"bench-{os.getpid()}@example.com", "password": "a long passphrase"}
    client.headers["Authorization"] = f"Bearer {client.data('POST', '/api/auth/register', account)['token']}"
    review = f"/api/review/{client.data('POST', '/api/review', {'name': 'bench'})['id']}"

    def generate(run: int) -> bytes:
        system = f"{SYSTEMS[run % len(SYSTEMS)]}; about {run} users"
        body = {"systemDescription": system, "selectedDomains": DOMAINS, "jurisdictions": ["EU", "US"]}
        return client.send("POST", f"{review}/generate-questions", body)

    def search(run: int) -> bytes:
        return client.send("POST", "/api/incidents/search", {"query": f"ransomware in a hospital {run}", "limit": 10})

    timed(5, lambda run: generate(100_000 + run))
    times, answer = timed(runs, generate)
    row("generate, uncached, offline, 3 domains", times, "p50 <= 150, p99 <= 400")
    row("generate, repeated", timed(runs, lambda _: generate(1))[0], "p50 <= 10")
    data = json.loads(answer)["data"]
    fact("questions of an answer, and its size", f"{len(data['riskQuestions'])}, {len(answer) / 1024:.0f} KiB")
    row("incident search", timed(runs, search)[0], "p50 <= 5")
    row("health", timed(runs, lambda _: client.send("GET", "/health"))[0], "-")
    questions = {"riskQuestions": data["riskQuestions"], "complianceQuestions": []}
    saves = timed(max(20, runs // 5), lambda _: client.send("PUT", f"{review}/save-questions", questions))[0]
    row("save 75 questions, durable", saves, "-")


def machine() -> str:
    """What the figures were measured on."""
    cpu = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in ("sengol-api", "granian", "numpy", "wordllama"))
    host = f"{platform.platform()}, {os.cpu_count()} cores, {cpu[1] if cpu else platform.machine()}"
    return f"{host}\nPython {platform.python_version()}, {packages}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="requests of each kind")
    options = parser.parse_args()
    print(machine(), time.strftime("%Y-%m-%d"), sep="\n", end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        with server(Path(folder)) as (_, pid, seconds):
            fact("first start until ready", f"{seconds:.1f} s", "<= 60 s")
            fact("resident memory after it, all processes", f"{resident_mib(pid):.0f} MiB", "<= 400 MiB")
        starts = []
        for _ in range(5):
            with server(Path(folder)) as (_, _, seconds):
                starts.append(seconds)
        fact("later start until ready, median of 5", f"{statistics.median(starts):.1f} s, fastest {min(starts):.1f} s", "<= 3 s")
        with server(Path(folder)) as (address, pid, _):
            before = resident_mib(pid)
            measure(address, options.runs)
            after = f"{before:.0f} MiB, {resident_mib(pid):.0f} MiB after the requests"
            fact("resident memory after a later start", after, "<= 400 MiB")
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
