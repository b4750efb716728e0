"""What workers say of themselves and how it becomes one, over real sockets between them."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from sengol_api.observability.events import observe
from sengol_api.observability.host import Host
from sengol_api.observability.host_directory import host_directory
from sengol_api.observability.telemetry import Telemetry
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Dependency, Health
from sengol_api.ops.status.host import HostStatus
from sengol_api.ops.status.worker import STATUS, WorkerStatus
from sengol_api.resilience import CircuitBreaker, RateLimit, Registry
from sengol_api.resilience.testing import ManualClock


class Still(ManualClock):
    """Moves only when a test moves it: who sleeps does not wake."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Made:
    """A worker as a server has it, with a clock that a test moves."""

    def __init__(self, directory, clock, check) -> None:
        self.clock = clock
        self.registry = Registry()
        self.search = self.registry.pipeline("dvecdb", CircuitBreaker(failure_threshold=1))
        self.registry.pipeline("dvecdb.writes", self.search["circuit_breaker"])
        self.telemetry = Telemetry(host=Host(directory))
        self.health = Health(
            [Dependency(name="database", check=check, timeout=30)], self.registry, required=["database"], clock=clock
        )
        self.drain = Drain()
        self.status = WorkerStatus(self.health, self.registry, Background(), self.drain, self.telemetry, clock=clock)
        self.host = HostStatus(self.telemetry, clock=clock, patience=(10, 10))

    async def fail(self) -> None:
        async def refused():
            raise ConnectionError("canary.example.com refused the connection")

        with pytest.raises(ConnectionError):
            await self.search.call(refused)


async def well() -> None:
    """A dependency that answers."""


@pytest.fixture
async def make(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(host_directory())
        clock = Still()

        @asynccontextmanager
        async def running(made):
            async with made.telemetry.running(), made.status.running():
                end = observe(made.registry, made.telemetry)
                yield
                end()
            made.telemetry.host.close()

        async def start(*, check=well, alone=False):
            made = Made(None if alone else directory, clock, check)
            await stack.enter_async_context(running(made))
            return made

        yield start


async def test_one_worker_alone_speaks_for_itself(make):
    one = await make(alone=True)
    seen = await one.host.look()
    (worker,) = seen.workers
    assert (worker.state, worker.status, worker.phase) == ("answered", "ok", "serving")
    assert worker.checks["database"].required
    assert seen.samples["sengol_workers"]["answered",] == 1


async def test_any_worker_speaks_for_all(make):
    one, two = await make(), await make()
    await two.fail()
    for asked in (one, two):
        seen = await asked.host.look()
        states = [worker.breakers["dvecdb"].state for worker in seen.workers]
        assert (states, [worker.status for worker in seen.workers]) == (["CLOSED", "OPEN"], ["ok", "degraded"])
        assert seen.samples["sengol_circuit_breaker_state"]["dvecdb", "OPEN"] == 1


async def test_what_a_breaker_went_through_is_kept_while_nobody_looks_with_the_class_of_its_error_alone(make):
    one = await make(alone=True)
    await one.fail()
    one.search["circuit_breaker"].reset()
    (worker,) = (await one.host.look()).workers
    told = [(change.previous, change.state, change.error) for change in worker.changes["dvecdb"]]
    assert told == [("CLOSED", "OPEN", "ConnectionError"), ("OPEN", "CLOSED", None)]
    assert "canary" not in str(await one.status.tell(None))


async def test_a_breaker_that_flaps_for_days_leaves_no_more_than_its_last_changes(make):
    one = await make(alone=True)
    for _ in range(500):
        await one.fail()
        one.search["circuit_breaker"].reset()
    assert len((await one.host.look()).workers[0].changes["dvecdb"]) == 20


async def test_a_rate_limit_says_who_counts_it(make):
    one = await make(alone=True)
    one.registry.pipeline("limit.requests", RateLimit(rate=1))
    assert (await one.host.look()).workers[0].stores == {"limit.requests": "none"}


async def test_a_breaker_that_two_pipelines_share_is_one(make):
    one = await make(alone=True)
    assert set((await one.host.look()).workers[0].breakers) == {"dvecdb"}


async def test_a_dependency_that_hangs_does_not_make_its_worker_look_stuck(make, monkeypatch):
    monkeypatch.setattr("sengol_api.ops.status.worker.FIRST_PATIENCE", 0.01)
    release = asyncio.Event()
    one, two = await make(), await make(check=release.wait)
    await one.status._ask()
    seen = await one.host.look()
    assert [(worker.state, worker.status) for worker in seen.workers] == [("answered", "ok"), ("answered", None)]
    release.set()
    await two.status._asking
    assert [worker.status for worker in (await one.host.look()).workers] == ["ok", "ok"]


async def test_dependencies_are_asked_again_after_a_moment_and_not_with_every_look(make):
    asked = []

    async def check():
        asked.append(1)

    one = await make(alone=True, check=check)
    for _ in range(5):
        await one.host.look()
        one.clock.advance(0.28)
    assert len(asked) == 1
    one.clock.advance(0.2)
    await one.host.look()
    assert len(asked) == 2


async def test_a_worker_that_fails_to_answer_is_told_apart(make):
    one, two = await make(), await make()
    two.telemetry.host.offer(STATUS, lambda _: {"of": "another version"})
    assert [worker.state for worker in (await one.host.look()).workers] == ["answered", "failed"]
    two.telemetry.host.offer(STATUS, lambda _: 1 / 0)
    assert [worker.state for worker in (await one.host.look()).workers] == ["answered", "failed"]


async def test_a_worker_that_is_late_once_is_shown_as_it_was_and_one_that_stays_silent_is_told(make):
    one, two = await make(), await make()
    await one.host.look()
    release = asyncio.Event()
    two.telemetry.host.offer(STATUS, lambda _: release.wait())
    one.host._patience = 0.01
    assert [(worker.state, worker.status) for worker in (await one.host.look()).workers] == [("answered", "ok")] * 2
    one.clock.advance(7)
    assert (await one.host.look()).workers[1].state == "silent"
    release.set()


async def test_calls_of_all_workers_are_added_up_by_steps(make):
    one, two = await make(), await make()
    await one.fail()
    await two.fail()
    one.clock.advance(60)
    for each in (one, two):
        each.status._trail.note()
    one.clock.advance(5)
    seen = await one.host.look()
    assert seen.window.total("sengol_pipeline_attempts_total", [("dvecdb", "error")]) == 2
    again = await one.host.look()
    assert again.window.total("sengol_pipeline_attempts_total") == 2


async def test_a_process_that_comes_to_its_end_says_so(make):
    one = await make(alone=True)
    one.drain.begin()
    assert (await one.host.look()).workers[0].phase == "draining"
