"""Speed and size of the main job, over HTTP against the real server: ``make bench``. It prints figures and judges nothing."""

import argparse
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
from importlib.metadata import version
from pathlib import Path

import httpx2

SYSTEMS = (
    "A chatbot that answers patients' questions from medical records and books appointments; language model with retrieval on AWS",
    "A payment platform for online shops: card checkout, fraud scoring by machine learning, Kubernetes, PostgreSQL, Kafka",
    "A plant's control system with sensors, remote maintenance by VPN, and dashboards in a public cloud",
    "A hiring tool that ranks applicants' resumes with a language model for employers in three countries",
    "A learning app for schools with video lessons, a tutor bot, and pupils' results in a data warehouse",
)
DOMAINS = ["ai", "cyber", "cloud"]


@contextmanager
def server(data_dir: Path, *options: str) -> Iterator[tuple[str, int, float]]:
    """A running server: its address, its process id, and the seconds until it was ready."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "sengol_api", "serve", "--port", "0", "--data-dir", str(data_dir), *options]
    environment = {**os.environ, "LOG_LEVEL": "warning", "PYTHONUNBUFFERED": "1"}
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


def resident_mib(pid: int) -> float:
    """Resident memory of a process and its children, MiB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return (int(own[1]) / 1024 if own else 0.0) + sum(resident_mib(int(child)) for child in children)


def timed(runs: int, call: Callable[[int], httpx2.Response]) -> tuple[list[float], httpx2.Response]:
    """Milliseconds of each run, and the last answer."""
    times = []
    for run in range(runs):
        started = time.perf_counter()
        answer = call(run)
        times.append((time.perf_counter() - started) * 1000)
        answer.raise_for_status()
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
    with httpx2.Client(base_url=address, timeout=60) as client:
        account = {"email": f"bench-{os.getpid()}@example.com", "password": "a long passphrase"}
        token = client.post("/api/auth/register", json=account).json()["data"]["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        review = client.post("/api/review", json={"name": "bench"}).json()["data"]["id"]
        path = f"/api/review/{review}/generate-questions"

        def body(run: int) -> dict[str, object]:
            return {
                "systemDescription": f"{SYSTEMS[run % len(SYSTEMS)]}; about {run} users",
                "selectedDomains": DOMAINS,
                "jurisdictions": ["EU", "US"],
            }

        timed(3, lambda run: client.post(path, json=body(100_000 + run)))
        times, answer = timed(runs, lambda run: client.post(path, json=body(run)))
        row("generate, uncached, offline, 3 domains", times, "p50 <= 150, p99 <= 400")
        times, _ = timed(runs, lambda _: client.post(path, json=body(1)))
        row("generate, repeated", times, "p50 <= 10")
        data = answer.json()["data"]
        fact("questions of an answer, and its size", f"{len(data['riskQuestions'])}, {len(answer.content) / 1024:.0f} KiB")
        search = {"filter": {}, "limit": 10}
        times, _ = timed(runs, lambda run: client.post("/api/incidents/search", json={"query": f"ransomware {run}", **search}))
        row("incident search", times, "p50 <= 5")
        times, _ = timed(runs, lambda _: client.get("/health"))
        row("health", times, "-")
        questions = {"riskQuestions": data["riskQuestions"], "complianceQuestions": []}
        times, _ = timed(max(20, runs // 5), lambda _: client.put(f"/api/review/{review}/save-questions", json=questions))
        row("save 75 questions, durable", times, "-")


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
        with server(Path(folder)) as (_, _, seconds):
            fact("first start until ready", f"{seconds:.1f} s", "<= 60 s")
        starts = []
        for _ in range(5):
            with server(Path(folder)) as (_, _, seconds):
                starts.append(seconds)
        fact("later start until ready, median of 5", f"{statistics.median(starts):.1f} s, fastest {min(starts):.1f} s", "<= 3 s")
        with server(Path(folder)) as (address, pid, _):
            before = resident_mib(pid)
            measure(address, options.runs)
            fact("resident memory of all processes", f"{before:.0f} MiB at start, {resident_mib(pid):.0f} MiB after", "<= 400 MiB")
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
