"""Requests per second beside a Fastify service, each on one core, the load from another: ``make bench-http``.

Both have their usual middleware on (security headers, CORS, rate limit, tokens, validation of the body), and give the same bytes
for a finished review. They are measured in turn, A B A B; what counts is the median of the ratios of neighbours. It needs node,
npm, wrk and taskset, and prints figures; it judges nothing.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jwt

sys.path.insert(0, str(Path(__file__).parents[1]))
from main_job import DOMAINS, SYSTEMS, Client, machine, server

FOLDER = Path(__file__).parent
SECRET = "a secret of the bench that is long enough"
NEEDED = ("node", "npm", "wrk", "taskset")
POST = """
wrk.method = "POST"
wrk.body = {body}
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {token}"
"""
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Run:
    """What wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def load(url: str, script: Path | None, seconds: int) -> Run:
    """Load one server from the second core."""
    command = [
        "taskset",
        "-c",
        "1",
        "wrk",
        "-t1",
        "-c16",
        f"-d{seconds}s",
        "--latency",
        *(["-s", str(script)] if script else []),
        url,
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    bad = [int(count) for count in re.findall(r"(?:Non-2xx or 3xx responses: |connect |read |write |timeout )(\d+)", told)]
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert per_second is not None, told
    return Run(float(per_second[1]), _latency(told, "50%"), _latency(told, "99%"), sum(bad))


def _latency(told: str, share: str) -> float:
    found = re.search(rf"{share}\s+([\d.]+)(us|ms|s)", told)
    assert found is not None, told
    return float(found[1]) * _UNITS[found[2]]


@contextmanager
def fastify(port: int, body: Path, schema: Path) -> Iterator[str]:
    """The other service, on the first core."""
    command = ["taskset", "-c", "0", "node", "server.mjs", str(port), SECRET, str(body), str(schema)]
    environment = {**os.environ, "NODE_ENV": "production"}
    process = subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("Fastify did not start")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def bare(port: int) -> Iterator[str]:
    """An application that does nothing, in the server that we use, on the first core."""
    command = ["taskset", "-c", "0", sys.executable, "-m", "granian", "--interface", "asginl", "--no-ws", "--http", "1"]
    command += ["--port", str(port), "--log-level", "warning", "bare:app"]
    process = subprocess.Popen(command, cwd=FOLDER)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                Client(f"http://127.0.0.1:{port}").send("GET", "/")
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def body_schema(address: str) -> dict[str, object]:
    """The JSON Schema of the body of generate-questions, as this service documents it."""
    document = Client(address).send("GET", "/openapi.json")
    schemas = json.loads(document)["components"]["schemas"]
    whole = json.dumps({**schemas["GenerateIn"], "$defs": schemas})
    found: dict[str, object] = json.loads(whole.replace("#/components/schemas/", "#/$defs/"))
    return found


def compare(name: str, ours: str, theirs: str, scripts: tuple[Path, Path] | None, rounds: int, seconds: int, target: str) -> None:
    """Measure the two in turn, and print what came out."""
    ours_script, theirs_script = scripts or (None, None)
    for url, script in ((ours, ours_script), (theirs, theirs_script)):
        load(url, script, 2)  # warm-up
    pairs = [(load(ours, ours_script, seconds), load(theirs, theirs_script, seconds)) for _ in range(rounds)]
    errors = sum(run.errors for pair in pairs for run in pair)
    for who, runs in (("sengol-api", [a for a, _ in pairs]), ("fastify", [b for _, b in pairs])):
        figures = [statistics.median(getattr(run, field) for run in runs) for field in ("per_second", "p50_ms", "p99_ms")]
        print(f"  {name:<16} {who:<12} {figures[0]:9.0f} /s   p50 {figures[1]:7.2f} ms   p99 {figures[2]:7.2f} ms")
    rate = statistics.median(a.per_second / b.per_second for a, b in pairs)
    tail = statistics.median(a.p99_ms / b.p99_ms for a, b in pairs)
    print(f"  {name:<16} {'ratio':<12} {rate:9.2f}      p99 {tail:7.2f}      target {target}, p99 <= 1; errors {errors}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing or (os.cpu_count() or 1) < 2:
        raise SystemExit(f"not measured: {', '.join(missing) or 'a second core'} is missing")
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=FOLDER, check=True)
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(
        machine(), f"node {node}, fastify {json.loads((FOLDER / 'package.json').read_text())['dependencies']['fastify']}", sep="\n"
    )
    print(time.strftime("%Y-%m-%d"), end="\n\n")
    os.environ.update({"JWT_SECRET": SECRET, "ALLOWED_ORIGINS": "https://app.example.com"})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder / "data", pinned=0) as (address, _, _):
            client = Client(address)
            account = client.data("POST", "/api/auth/register", {"email": "bench@example.com", "password": "a long passphrase"})
            client.headers["Authorization"] = f"Bearer {account['token']}"
            review = client.data("POST", "/api/review", {"name": "bench"})["id"]
            path = f"/api/review/{review}/generate-questions"
            asked = {"systemDescription": SYSTEMS[0], "selectedDomains": DOMAINS, "questionsPerDomain": 8}
            answer = client.send("POST", path, asked)
            (folder / "answer.json").write_bytes(answer)
            (folder / "schema.json").write_text(json.dumps(body_schema(address)))
            now = int(time.time())
            other = jwt.encode({"sub": "bench", "iat": now, "exp": now + 3600}, SECRET, algorithm="HS256")
            scripts = (folder / "ours.lua", folder / "theirs.lua")
            for script, token in zip(scripts, (account["token"], other), strict=True):
                script.write_text(POST.format(body=json.dumps(json.dumps(asked)), token=token))
            port = int(address.rpartition(":")[2]) + 1
            with fastify(port, folder / "answer.json", folder / "schema.json") as theirs:
                compare("health", f"{address}/health", f"{theirs}/health", None, options.rounds, options.seconds, ">= 1.5")
                with bare(port + 1) as nothing:
                    load(nothing, None, 2)
                    runs = [load(nothing, None, options.seconds).per_second for _ in range(options.rounds)]
                print(f"  {'':<16} an empty ASGI application in granian {statistics.median(runs):.0f} /s")
                print(f"  a finished review of {len(answer) / 1024:.0f} KiB")
                compare("review", address + path, theirs + path, scripts, options.rounds, options.seconds, ">= 1.0")
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f}; both stand on core 0, one idle while the other works")


if __name__ == "__main__":
    main()
