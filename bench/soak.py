"""The service for half an hour at half of what it can do, while what it depends on fails and comes back: ``make soak``.

It prints figures and judges nothing: the curve of resident memory and how steep its end is, and what of tasks, descriptors and
threads is left when all is quiet again, beside what there was before.
"""

import argparse
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
from main_job import DOMAINS, Client, fact, machine, resident_mib, server, with_environment

from faults import Reviewer, settings
from support.assisted import helpful
from support.dvecdb.fake import fake_dvecdb
from support.openai_faults import OpenAIFaults
from support.tcp_proxy import tcp_proxy
from support.valkey import valkey_server

CONNECTIONS = 8
EVERY = 5.0
"""Seconds between two samples."""
CACHE_MIB = 8
CACHE_ENTRIES = 200
"""Bounds of each cache: small, so that all are full when the warm-up ends, and what grows then is no cache.

Of model answers, some 6 kB each, 8 MiB would not be full in half an hour. Of reviews, some 190 kB each, 8 MiB are 43.
"""
CALM = 30.0
"""Seconds without load or faults before what is left is counted: longer than an idle connection is kept."""


@dataclass(frozen=True)
class Sample:
    """What the process holds at one moment: of memory in MiB all of it, and what it made itself, without the files it reads."""

    at: float
    resident: float
    made: float
    tasks: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class World:
    """The service with all that it depends on, and the ways in which that fails."""

    address: str
    pid: int
    faults: dict[str, tuple[Callable[[], Any], Callable[[], Any]]]


@contextmanager
def world(data_dir: Path) -> Iterator[World]:
    """A model, a d-vecDB and a Valkey behind proxies that fail when they are told to, and the service before them."""
    with ExitStack() as stack:
        openai = OpenAIFaults(seed=3)
        stack.callback(openai.close)
        openai.reply = helpful
        dvecdb = stack.enter_context(tcp_proxy(stack.enter_context(fake_dvecdb()).port))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = stack.enter_context(tcp_proxy(stack.enter_context(valkey_server(folder)).port))
        given = settings(openai.base_url, dvecdb.port) | {
            "REDIS_URL": f"redis://127.0.0.1:{valkey.port}",
            "TOKENS_PER_DAY": "0",
            "REQUEST_TIMEOUT": "20000",  # a reviewer does not wait for a silent model for ever
            "CACHE_MAX_MIB": str(CACHE_MIB),
            "CACHE_MAX_SIZE": str(CACHE_ENTRIES),
        }
        stack.enter_context(with_environment(given))
        address, pid, _ = stack.enter_context(server(data_dir))
        heal = openai.heal
        faults = {
            "the model answers 500": (lambda: openai.always("server_error"), heal),
            "the model is silent": (lambda: openai.always("silent"), heal),
            "the model refuses a third": (lambda: openai.sometimes({"rate_limit_exceeded": 0.3}), heal),
            "the model answers HTML": (lambda: openai.always("html"), heal),
            "d-vecDB is silent": (dvecdb.hang, dvecdb.pass_on),
            "d-vecDB refuses": (dvecdb.refuse, dvecdb.pass_on),
            "d-vecDB breaks off": (dvecdb.reset, dvecdb.pass_on),
            "Valkey is silent": (valkey.hang, valkey.pass_on),
            "Valkey refuses": (valkey.refuse, valkey.pass_on),
            "Valkey breaks off": (valkey.reset, valkey.pass_on),
        }
        yield World(address, pid, faults)


class Load:
    """A crowd of reviewers on kept connections.

    Args:
        address: of the service.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._one = Reviewer(address)
        self._chance = random.Random(7)
        self._turn = threading.Lock()
        self._asked = 0
        self.outcomes: Counter[str] = Counter()

    def run(self, seconds: float, rate: float | None = None) -> float:
        """Ask for so long, at so many requests a second or as fast as answers come; what was answered in a second."""
        started, before = time.monotonic(), self._asked
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda _: self._ask_until(started, started + seconds, rate, before), range(CONNECTIONS)))
        return (self._asked - before) / (time.monotonic() - started)

    def _ask_until(self, started: float, end: float, rate: float | None, before: int) -> None:
        client = Client(self._address)
        client.headers = dict(self._one.client.headers)
        while (now := time.monotonic()) < end:
            with self._turn:
                number, self._asked = self._asked, self._asked + 1
                kind = self._chance.random()
            if rate is not None and (early := started + (number - before) / rate - now) > 0:
                time.sleep(early)
            try:
                self._ask(client, number, kind)
                self.outcomes["answered"] += 1
            except (SystemExit, OSError) as error:
                self.outcomes[str(error)[:80]] += 1
                if not isinstance(error, SystemExit):
                    client = Client(self._address)
                    client.headers = dict(self._one.client.headers)

    def _ask(self, client: Client, number: int, kind: float) -> None:
        """Seven searches in ten; one review in ten is new, one that was asked before; the rest asks how it is."""
        if kind < 0.7:
            client.send("POST", "/api/incidents/search", {"query": f"ransomware in a hospital {number % 5000}", "limit": 10})
        elif kind < 0.9:
            users = number if kind < 0.8 else number % 20
            body = {"systemDescription": f"A triage chatbot of a hospital for {users} users", "selectedDomains": DOMAINS}
            client.send("POST", self._one.path, body)
        else:
            client.send("GET", "/health/detailed" if kind > 0.95 else "/health")


def sample(world: World) -> Sample:
    """Now, over a connection of its own: an idle one is closed."""
    text = Client(world.address).send("GET", "/metrics").decode()

    def gauge(name: str) -> int:
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else -1

    held = gauge("sengol_event_loop_tasks"), gauge("process_open_fds"), gauge("process_threads")
    return Sample(time.monotonic(), resident_mib(world.pid), resident_mib(world.pid, "RssAnon"), *held)


def slope(samples: list[Sample], what: str) -> float:
    """MiB of it an hour: the median of the slopes between all pairs (Theil and Sen), which a single peak does not bend."""
    pairs = [
        (getattr(b, what) - getattr(a, what)) / (b.at - a.at) * 3600
        for at, a in enumerate(samples)
        for b in samples[at + 1 :]
        if b.at - a.at > 60
    ]
    return statistics.median(pairs) if pairs else float("nan")


def curve(samples: list[Sample], what: str, start: float, seconds: float) -> str:
    """Its mean of each twelfth of the time, MiB: whether it levels off."""
    parts: dict[int, list[float]] = {}
    for each in samples:
        parts.setdefault(min(11, int((each.at - start) / seconds * 12)), []).append(getattr(each, what))
    return ", ".join(f"{statistics.mean(held):.1f}" for _, held in sorted(parts.items()))


def fail(world: World, seconds: float, faulty: float, log: Counter[str], done: threading.Event) -> None:
    """One fault after the other, each as long as the quiet after it."""
    names = list(world.faults)
    end = time.monotonic() + seconds
    for turn in range(10**6):
        if time.monotonic() >= end or done.is_set():
            return
        name = names[turn % len(names)]
        start, stop = world.faults[name]
        done.wait(faulty)
        start()
        log[name] += 1
        done.wait(faulty)
        stop()


def main() -> None:
    """Soak and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--warm-up", type=float, default=8.0, help="minutes before the slope is measured")
    parser.add_argument("--faulty", type=float, default=15.0, help="seconds of a fault, and of the quiet after it")
    options = parser.parse_args()
    seconds, warm = options.minutes * 60, options.warm_up * 60
    print(machine(), time.strftime("%Y-%m-%d"), sep="\n", end="\n\n")
    with tempfile.TemporaryDirectory() as name, world(Path(name) / "data") as held:
        load = Load(held.address)
        capacity = load.run(20)
        time.sleep(CALM)
        before, samples, log, done = sample(held), [], Counter[str](), threading.Event()
        start = time.monotonic()
        watcher = threading.Thread(target=fail, args=(held, seconds, options.faulty, log, done))
        worker = threading.Thread(target=load.run, args=(seconds, capacity / 2))
        watcher.start()
        worker.start()
        while worker.is_alive():
            worker.join(EVERY)
            samples.append(sample(held))
        done.set()
        watcher.join()
        time.sleep(CALM)
        after = sample(held)
    late = [each for each in samples if each.at - start > warm]
    fact("as fast as answers come", f"{capacity:.0f} requests/s, half of it for {options.minutes:g} minutes")
    fact("faults that came and went", str(sum(log.values())))
    fact("answers", ", ".join(f"{what}: {count}" for what, count in load.outcomes.most_common(5)))
    half = [each for each in samples if each.at - start > seconds / 2]
    for what, name in (("resident", "resident memory"), ("made", "of it without files")):
        means = curve(samples, what, start, seconds)
        fact(f"{name} at the start", f"{getattr(before, what):.1f} MiB; mean of each twelfth: {means}")
        fact(f"slope after {options.warm_up:g} minutes", f"{slope(late, what):+.2f} MiB an hour over {len(late)} samples", "<= 1")
        fact("slope of the last half", f"{slope(half, what):+.2f} MiB an hour over {len(half)} samples", "<= 1")
    for what in ("tasks", "descriptors", "threads"):
        peak = max(getattr(each, what) for each in samples)
        fact(f"{what}: calm before, at most, calm after", f"{getattr(before, what)}, {peak}, {getattr(after, what)}", "as before")
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
