"""What health routes cost, what an idle connection takes, how long an orderly end lasts: ``python bench/operations.py``.

It prints figures and judges nothing. Work is processor time of the worker, so that other load on the machine does not count.
"""

import os
import platform
import resource
import signal
import socket
import statistics
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from main_job import processor_seconds, resident_mib, server

ROUTES = ("/health", "/health/live", "/health/ready", "/health/detailed", "/nowhere")
REQUESTS, ROUNDS, IDLE = 1000, 7, 10_000


def worker_of(parent: int) -> int:
    """The id of the only worker."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])


def work(url: str, pid: int, path: str) -> tuple[float, float]:
    """Microseconds of work per request, and milliseconds until the answer (median)."""
    connection = HTTPConnection(urlsplit(url).netloc)
    before, latencies = processor_seconds(pid), []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", path)
        connection.getresponse().read()
        latencies.append((time.perf_counter() - began) * 1000)
    connection.close()
    return (processor_seconds(pid) - before) / REQUESTS * 1e6, statistics.median(latencies)


def idle_kib(url: str, pid: int) -> float:
    """KiB of resident memory that a connection takes on which nothing is asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 1000), hard))
    address = urlsplit(url)
    before = resident_mib(pid)
    held = [socket.create_connection((address.hostname, address.port)) for _ in range(IDLE)]
    time.sleep(1)
    took = (resident_mib(pid) - before) * 1024 / IDLE
    for connection in held:
        connection.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return took


def main() -> None:
    """Print the figures."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {REQUESTS} requests a round, median of {ROUNDS} rounds\n")
    with tempfile.TemporaryDirectory(prefix="sengol-bench-") as folder:
        os.environ["HEADER_TIMEOUT"] = "600000"
        with server(Path(folder) / "data") as (url, parent, _):
            pid = worker_of(parent)
            print(f"{'route':20}{'work, µs':>12}{'answer, ms':>14}")
            rounds = [{path: work(url, pid, path) for path in ROUTES} for _ in range(ROUNDS)]
            for path in ROUTES:
                spent, took = (statistics.median(each[path][part] for each in rounds) for part in (0, 1))
                print(f"{path:20}{spent:12.0f}{took:14.2f}")
            print(f"\nan idle connection: {idle_kib(url, pid):.1f} KiB of resident memory ({IDLE} of them)")
            began = time.perf_counter()
            os.kill(parent, signal.SIGTERM)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.005)
            print(f"an end with nothing in flight: {(time.perf_counter() - began) * 1000:.0f} ms")


if __name__ == "__main__":
    main()
