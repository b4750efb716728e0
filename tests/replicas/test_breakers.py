"""What one replica finds out about an upstream, all know."""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from functools import partial

import pytest

from support.assisted import helpful
from support.cluster import cluster, eventually, until
from support.load import Line, a_system, register
from support.openai_faults import openai_faults
from support.process import environment

RESET = 4.0
"""Seconds until an open breaker tries again."""


@pytest.fixture(scope="module")
def model():
    """A model that does as it is asked, until it is told to fail."""
    with openai_faults(seed=7) as server:
        server.reply = helpful
        yield server


@pytest.fixture(scope="module")
def with_model(on_stage, model):
    """Four replicas that ask it."""
    settings = {
        "OPENAI_API_KEY": "sk-of-the-test",
        "OPENAI_BASE_URL": model.base_url,
        "OPENAI_MAX_RETRIES": "0",
        "EMBEDDINGS": "local",
        "CIRCUIT_BREAKER_TIMEOUT": str(round(RESET * 1000)),
        "RATE_LIMIT_PER_MINUTE": "100000",
    }
    with cluster(on_stage, "with-model", **settings) as running:
        yield running


class Asked:
    """A replica that is asked by itself, by one user."""

    def __init__(self, replica, user, review) -> None:
        self.replica = replica
        self._review = review
        self._line, self._looking = (Line(("127.0.0.1", replica.port), user) for _ in range(2))

    async def states(self) -> dict[str, str]:
        """Of its circuit breakers."""
        told = json.loads((await self._looking.ask("GET", "/health/circuit-breakers")).body)
        return {name: each["state"] for name, each in told["circuitBreakers"].items()}

    async def state(self) -> str:
        """Of the model's."""
        (found,) = {state for name, state in (await self.states()).items() if ".chat." in name}
        return found

    async def generate(self, number: int) -> dict:
        """What it says of a system, with nothing of what is kept."""
        body = {**a_system(number), "skipCache": True}
        answer = await self._line.ask("POST", f"/api/review/{self._review}/generate-questions", body)
        assert answer.status == 200, answer.body
        return answer.data["generationMetadata"]

    def close(self) -> None:
        """Hang up."""
        self._line.close()
        self._looking.close()


@pytest.fixture
async def asked(with_model, model):
    """All four, well."""
    model.heal()
    user = await register(with_model.address, f"{os.urandom(8).hex()}@example.com")
    line = Line(with_model.address, user)
    review = (await line.ask("POST", "/api/review", {})).data["id"]
    line.close()
    found = [Asked(each, user, review) for each in with_model.replicas]
    yield found
    for each in found:
        each.close()


def numbers():
    """Systems that nobody has asked about."""
    return iter(range(time.time_ns() // 1000, 1 << 62))


async def test_a_breaker_that_one_replica_opens_is_open_on_all_and_closes_on_all(asked, model, figure):
    first, *others = asked
    spread, systems = [], numbers()
    for _ in range(3):
        model.always("server_error")

        async def is_open(each):
            return await each.state() == "OPEN"

        watching = [asyncio.create_task(eventually(lambda each=each: is_open(each))) for each in others]
        opened = asyncio.create_task(eventually(lambda: is_open(first)))
        while not opened.done():
            await first.generate(next(systems))
        seen = await asyncio.gather(*watching)
        spread.append(max(seen) - await opened)
        before = model.count()
        for each in others:
            told = await each.generate(next(systems))
            assert told["served"]["model"] == ["evidence"]
        assert model.count() == before, "the others ask a model no more that they never saw fail"
        model.heal()

        async def all_closed():
            for each in asked:
                await each.generate(next(systems))
            return {await each.state() for each in asked} == {"CLOSED"}

        await eventually(all_closed, 60)
    figure(
        f"a breaker opened by one of four replicas is open on all after {', '.join(f'{each:.2f}' for each in spread)} s "
        f"(median {statistics.median(spread):.2f} s)"
    )
    assert statistics.median(spread) <= 1.0


async def test_an_order_that_was_acknowledged_stands_though_its_replica_dies_at_once(asked, with_model, on_stage, figure):
    email = f"{os.urandom(8).hex()}@example.com"
    user = await register(with_model.address, email)
    data = str(on_stage.folder / "with-model" / "api-1")
    grant = [sys.executable, "-m", "sengol_api", "admin", "grant", email, "--data-dir", data]
    run = partial(subprocess.run, grant, env=environment(**on_stage.settings), check=True, capture_output=True)
    await asyncio.to_thread(run)
    victim, *others = asked
    admin = Line(("127.0.0.1", victim.replica.port), user)
    name = next(name for name in await victim.states() if ".chat." in name)
    answer = await admin.ask("POST", f"/admin/circuit-breakers/{name}/isolate")
    os.killpg(victim.replica.pid, signal.SIGKILL)
    acknowledged = time.monotonic()
    admin.close()
    victim.close()
    assert answer.status == 200, answer.body

    async def isolated(each):
        return await each.state() == "ISOLATED"

    seen = [await eventually(lambda each=each: isolated(each)) for each in others]
    figure(f"an order whose replica was killed at once is carried out by the others after {max(seen) - acknowledged:.2f} s")
    await asyncio.to_thread(with_model.settle)
    assert await isolated(victim), "it knows when it is back"
    enable = Line(("127.0.0.1", others[0].replica.port), user)
    assert (await enable.ask("POST", f"/admin/circuit-breakers/{name}/enable")).status == 200
    enable.close()

    async def all_closed():
        return {await each.state() for each in asked} == {"CLOSED"}

    await eventually(all_closed)
    await asyncio.to_thread(until, with_model.all_up)
