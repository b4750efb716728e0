"""What one request costs each part, in processor time: ``python bench/capacity.py``, a part of ``make bench``.

It prints figures and judges nothing. Processor time says how many requests a core can take, and other load on the machine
does not count. docs/operations/capacity.md reckons with it.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import main_job
from main_job import DOMAINS, SYSTEMS, Client, fact, machine, processor_seconds, resident_mib, with_environment

main_job.sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.postgres import postgres_process
from support.valkey import valkey_server

MIX = {"search": 0.7, "repeated": 0.15, "fresh": 0.1, "save": 0.05}
BUSY = 0.6
"""Share of a core that a worker is given to do: what is above that waits in line too long."""
MEMORY = 512
"""MiB of a worker with full caches."""
POOL = 23
"""Connections that a worker opens to PostgreSQL at most, by default."""

Part = tuple[str, Callable[[], float]]


class Requests:
    """Every kind of request, as one user asks them.

    Args:
        address: of the service.
    """

    def __init__(self, address: str) -> None:
        self._client = Client(address)
        account = {"email": f"capacity-{os.getpid()}@example.com", "password": "a long passphrase"}
        self._client.headers["Authorization"] = f"Bearer {self._client.data('POST', '/api/auth/register', account)['token']}"
        self._review = f"/api/review/{self._client.data('POST', '/api/review', {'name': 'capacity'})['id']}"
        self._questions: Any = None

    def health(self, _: int) -> bytes:
        """Whether the process is there."""
        return self._client.send("GET", "/health")

    def search(self, number: int) -> bytes:
        """A search that nobody has asked for yet."""
        return self._client.send("POST", "/api/incidents/search", {"query": f"ransomware in hospital {number}", "limit": 10})

    def fresh(self, number: int) -> bytes:
        """A review of about 75 questions, of a system that nobody has described yet."""
        system = f"{SYSTEMS[number % len(SYSTEMS)]}; about {number} users"
        body = {"systemDescription": system, "selectedDomains": DOMAINS, "jurisdictions": ["EU", "US"]}
        return self._client.send("POST", f"{self._review}/generate-questions", body)

    def repeated(self, _: int) -> bytes:
        """The same review again."""
        return self.fresh(1)

    def save(self, _: int) -> bytes:
        """All questions of a review, durably."""
        if self._questions is None:
            self._questions = json.loads(self.fresh(1))["data"]["riskQuestions"]
        questions = {"riskQuestions": self._questions, "complianceQuestions": []}
        return self._client.send("PUT", f"{self._review}/save-questions", questions)


def costs(address: str, parts: list[Part], runs: int) -> dict[str, list[float]]:
    """One line for each kind of request; milliseconds of each part."""
    found = {}
    requests = Requests(address)
    kinds = [(requests.health, 10), (requests.search, 2), (requests.fresh, 1), (requests.repeated, 2), (requests.save, 1)]
    for ask, times in kinds:
        for number in range(10):
            ask(10_000_000 + number)
        before = [now() for _, now in parts]
        for number in range(runs * times):
            ask(number)
        spent = [(now() - was) / (runs * times) * 1000 for was, (_, now) in zip(before, parts, strict=True)]
        found[ask.__name__] = spent
        each = ", ".join(f"{name} {ms:.2f} ms" for (name, _), ms in zip(parts, spent, strict=True))
        print(f"  {ask.__name__:<10} {each}; {1000 / spent[0]:.0f} a second and core")
    return found


def growth(cost: dict[str, list[float]]) -> None:
    """How many of everything so many requests a second take, in the mix of MIX."""
    api, postgres, valkey = (sum(share * cost[kind][part] for kind, share in MIX.items()) for part in range(3))
    shares = ", ".join(f"{share:.0%} {kind}" for kind, share in MIX.items())
    print(f"\n  a mix of {shares}: API {api:.1f} ms, PostgreSQL {postgres:.2f} ms, Valkey {valkey:.2f} ms a request")
    for rate in (10, 100, 1000, 10_000):
        workers = max(2, math.ceil(rate * api / 1000 / BUSY))
        memory = workers * MEMORY / 1024
        print(f"  {rate:>6} requests/s: {workers:>4} workers of one core, {BUSY:.0%} busy, {memory:6.1f} GiB; ", end="")
        print(f"PostgreSQL {rate * postgres / 1000:5.2f} cores, up to {workers * POOL} connections; ", end="")
        print(f"Valkey {rate * valkey / 1000:5.2f} cores")


def main() -> None:
    """Measure on the embedded defaults, then on PostgreSQL and Valkey."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    print(machine(), time.strftime("%Y-%m-%d"), sep="\n")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        print("\n  embedded: SQLite, everything in the process")
        with main_job.server(Path(name) / "one") as (address, pid, _):
            costs(address, [("API", lambda: processor_seconds(pid))], options.runs)
            fact("resident memory of the replica", f"{resident_mib(pid):.0f} MiB")
        print("\n  on PostgreSQL and Valkey")
        postgres = stack.enter_context(postgres_process())
        valkey = stack.enter_context(valkey_server(Path(name)))
        given = {"DATABASE_URL": postgres.url.format("postgres"), "REDIS_URL": valkey.url}
        stack.enter_context(with_environment(given))
        address, pid, _ = stack.enter_context(main_job.server(Path(name) / "two"))
        parts: list[Part] = [
            ("API", lambda: processor_seconds(pid)),
            ("PostgreSQL", lambda: processor_seconds(postgres.pid)),
            ("Valkey", lambda: processor_seconds(valkey.pid)),
        ]
        cost = costs(address, parts, options.runs)
        fact("resident memory of the replica", f"{resident_mib(pid):.0f} MiB")
        growth(cost)


if __name__ == "__main__":
    main()
