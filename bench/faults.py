"""The service with both upstreams dead, over HTTP against the real server: ``make faults``. It prints figures and judges nothing.

Each way of dying is measured in a server of its own, beside one without any upstream: the same reviews in turn, so that what is
compared was measured in the same moments.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tests")]
from main_job import DOMAINS, SYSTEMS, Client, fact, machine, server, with_environment

from support.assisted import helpful
from support.dvecdb.fake import fake_dvecdb
from support.openai_faults import OpenAIFaults
from support.openai_taxonomy import CHAT, FAULTS
from support.openai_waits import FORMS
from support.service_process import free_ports
from support.tcp_proxy import tcp_proxy
from support.tiny_http import Reply, TinyHttp

WAYS = ("refused", "silent", "drip", "server_error", "insufficient_quota", "html")
OPEN = 60
"""Reviews with open breakers."""


@dataclass
class Upstreams:
    """Where the service finds its upstreams, and how many requests came there."""

    settings: dict[str, str]
    sent: Callable[[], int]
    openai: OpenAIFaults | None = None


@dataclass
class Seen:
    """What a client saw of the reviews."""

    times: list[float] = field(default_factory=list)
    failed: int = 0
    labelled: int = 0
    wrong: int = 0
    calls: int = 0


def settings(base_url: str, port: int) -> dict[str, str]:
    """A service with a model and a d-vecDB."""
    return {
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": base_url,
        "EMBEDDINGS": "local",
        "VECTOR_INDEX": "dvecdb",
        "DVECDB_HOST": "127.0.0.1",
        "DVECDB_PORT": str(port),
    }


@contextmanager
def dead(way: str) -> Iterator[Upstreams]:
    """Both upstreams, dead in one way."""
    openai = OpenAIFaults(seed=3)
    try:
        if way == "refused":
            ports = free_ports(2)
            yield Upstreams(settings(f"http://127.0.0.1:{ports[0]}/v1", ports[1]), lambda: 0)
            return
        openai.always(way)
        if way in {"silent", "drip"}:
            with fake_dvecdb() as fake, tcp_proxy(fake.port) as proxy:
                proxy.hang() if way == "silent" else proxy.drip(5.0)
                yield Upstreams(settings(openai.base_url, proxy.port), lambda: openai.count() + proxy.accepted, openai)
            return
        asked = []
        answer = Reply(200 if way == "html" else 500, b"<html>Bad gateway</html>", "text/html")
        other = TinyHttp(lambda *_: asked.append(1) or answer, name="dead-dvecdb")
        try:
            yield Upstreams(settings(openai.base_url, other.port), lambda: openai.count() + len(asked), openai)
        finally:
            other.close()
    finally:
        openai.close()


class Reviewer:
    """A client with an account and a review."""

    def __init__(self, address: str) -> None:
        self.client = Client(address)
        account = {"email": f"{uuid.uuid4().hex}@example.com", "password": "a long passphrase"}
        self.client.headers["Authorization"] = f"Bearer {self.client.data('POST', '/api/auth/register', account)['token']}"
        self.path = f"/api/review/{self.client.data('POST', '/api/review', {'name': 'faults'})['id']}/generate-questions"

    def generate(self, number: int, deadline_ms: int | None = None, domains: Sequence[str] = DOMAINS) -> dict[str, Any]:
        """The data of a review that nobody has asked for before."""
        body = {"systemDescription": f"{SYSTEMS[number % len(SYSTEMS)]}; about {number} users", "selectedDomains": domains}
        self.client.headers.pop("X-Request-Timeout-Ms", None)
        if deadline_ms is not None:
            self.client.headers["X-Request-Timeout-Ms"] = str(deadline_ms)
        data: dict[str, Any] = self.client.data("POST", self.path, body)
        return data


def timed(reviewer: Reviewer, number: int, deadline_ms: int, seen: Seen) -> dict[str, Any] | None:
    """One review, and how long it took."""
    started = time.perf_counter()
    try:
        data = reviewer.generate(number, deadline_ms)
    except SystemExit:
        seen.failed += 1
        return None
    finally:
        seen.times.append(time.perf_counter() - started)
    seen.calls += data["generationMetadata"]["upstreamCalls"]
    rungs = {each["dependency"] for each in data["generationMetadata"]["degraded"]}
    seen.labelled += rungs >= {"model", "search"} or "review" in rungs
    return data


def same(made: dict[str, Any] | None, due: dict[str, Any]) -> bool:
    """Whether an answer is the one that evidence makes where there are no upstreams at all."""
    return made is not None and all(made[part] == due[part] for part in ("riskQuestions", "complianceQuestions", "incidentSummary"))


def measure(way: str, data_dir: Path, deadline_ms: int) -> None:
    """One way of dying."""
    with (
        dead(way) as upstreams,
        server(data_dir) as (offline_at, _, _),
        with_environment(upstreams.settings),
        server(data_dir) as (address, _, _),
    ):
        healthy, reviewer = Reviewer(offline_at), Reviewer(address)
        closing, open_, alone = Seen(), Seen(), []
        for number in range(30):
            made = timed(reviewer, number, deadline_ms, closing)
            closing.wrong += not same(made, healthy.generate(number))
            if made is not None and made["generationMetadata"]["upstreamCalls"] == 0:
                break
        before, began = upstreams.sent(), time.perf_counter()
        for number in range(1000, 1000 + OPEN):
            started = time.perf_counter()
            due = healthy.generate(number)
            alone.append(time.perf_counter() - started)
            open_.wrong += not same(timed(reviewer, number, deadline_ms, open_), due)
        sent, took = upstreams.sent() - before, time.perf_counter() - began
    reviews, wrong = len(closing.times) + OPEN, closing.wrong + open_.wrong
    failed, labelled = closing.failed + open_.failed, closing.labelled + open_.labelled
    ratio = statistics.median(a / b for a, b in zip(open_.times, alone, strict=True))
    print(
        f"  {way:<20} answered {reviews - failed}/{reviews}, right {reviews - wrong}/{reviews}, labelled {labelled}/{reviews}; "
        f"slowest {max(closing.times):5.2f} s = {max(closing.times) * 1000 / deadline_ms:4.2f} of its deadline; "
        f"open: p50 {statistics.median(open_.times) * 1000:4.0f} ms = {ratio:4.2f} x offline, "
        f"{open_.calls / OPEN:5.3f} calls a review; {max(0, sent - open_.calls)} others "
        f"in {took:.0f} s, by which d-vecDB is found again"
    )
    if way == "insufficient_quota" and upstreams.openai is not None:
        fact("chat requests of a key without quota", str(upstreams.openai.count(CHAT)), "1 in a cool-down")


def crowd(data_dir: Path) -> None:
    """Fifty people who ask the same at the same time, of a model that answers."""
    openai = OpenAIFaults(seed=3)
    openai.reply = helpful
    try:
        given = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": openai.base_url, "EMBEDDINGS": "local"}
        with with_environment(given), server(data_dir) as (address, _, _):
            one = Reviewer(address)
            headers = dict(one.client.headers)

            def ask(_: int) -> dict[str, Any]:
                other = object.__new__(Reviewer)
                other.client, other.path = Client(address), one.path  # the same account on a connection of its own
                other.client.headers = dict(headers)
                return other.generate(5)

            with ThreadPoolExecutor(50) as pool:
                answers = list(pool.map(ask, range(50)))
            first = openai.count(CHAT)
            fresh = one.generate(6)
            models = {answer["generationMetadata"]["llmModel"] for answer in answers}
            fact("50 identical reviews at once", f"{first} chat requests, one for each domain; model {models}", "1 set")
            fact(
                "a fresh review of 75 questions",
                f"{fresh['generationMetadata']['upstreamCalls']} requests",
                "<= 4 chat, 2 embeddings",
            )
            before = openai.count()
            one.generate(6)
            fact("the same again", f"{openai.count() - before} requests", "0")
            early = _hints(openai, one)
            fact("requests earlier than the server allowed", f"{early}, in {len(FORMS)} forms of the hint", "0")
    finally:
        openai.close()


def _hints(openai: OpenAIFaults, reviewer: Reviewer) -> int:
    """Each form once; of one domain, since those of several are sent before any of them is told."""
    openai.forget()
    for number, form in enumerate(FORMS.values()):
        openai.script(FAULTS["rate_limit_exceeded"].waiting(form, 0.5), path=CHAT)
        reviewer.generate(50_000 + number, domains=["ai"])
    return len(openai.early)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deadline-ms", type=int, default=3000)
    parser.add_argument("--ways", nargs="*", default=WAYS)
    options = parser.parse_args()
    print(machine(), time.strftime("%Y-%m-%d"), sep="\n", end="\n\n")
    with tempfile.TemporaryDirectory() as name:
        data_dir = Path(name) / "data"
        with server(data_dir):
            pass
        for way in options.ways:
            measure(way, data_dir, options.deadline_ms)
        crowd(data_dir)
    print(f"\n  load average of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
