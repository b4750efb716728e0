"""All workers as one: nothing that was counted is lost or counted twice, whatever becomes of a worker."""

import asyncio
import logging
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sengol_api.observability import telemetry as module
from sengol_api.observability.events import observe
from sengol_api.observability.host import Host
from sengol_api.observability.host_directory import host_directory
from sengol_api.observability.metrics.model import CATALOGUE
from sengol_api.observability.telemetry import Telemetry
from sengol_api.resilience import CircuitBreaker, Registry, Retry
from sengol_api.resilience.testing import ManualClock, Script

RUNGS = "sengol_rungs_served_total"


@pytest.fixture
def directory(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    with host_directory() as made:
        yield made


@asynccontextmanager
async def running(directory):
    host = Host(directory)
    telemetry = Telemetry(host=host)
    try:
        async with telemetry.running():
            yield telemetry
    finally:
        host.close()


WORKER = """
import asyncio, sys
from pathlib import Path
from sengol_api.observability.host import Host
from sengol_api.observability.telemetry import Telemetry

async def main():
    telemetry = Telemetry(host=Host(Path(sys.argv[1])))
    async with telemetry.running():
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            for _ in range(int(line)):
                telemetry.rungs.count("index", "embedded")
            print("done", flush=True)

asyncio.run(main())
"""


class Worker:
    """A worker in a process of its own, which counts what it is told to."""

    def __init__(self, directory):
        command = [sys.executable, "-c", WORKER, str(directory)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def count(self, number):
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def leave(self):
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(directory):
    started = []

    def begin():
        started.append(Worker(directory))
        return started[-1]

    yield begin
    for worker in started:
        worker.kill()


async def counted(telemetry):
    found = await telemetry.everywhere()
    return found.get(RUNGS, {}).get(("index", "embedded"), 0.0), {state: n for (state,), n in found["sengol_workers"].items() if n}


async def test_whoever_is_asked_speaks_for_all_even_for_those_that_left_were_killed_or_replaced(directory, start):
    async with running(directory) as asked:
        one, other = start(), start()
        one.count(3)
        other.count(4)
        asked.rungs.count("index", "embedded")
        assert await counted(asked) == (8.0, {"answered": 3.0})
        one.leave()
        assert await counted(asked) == (8.0, {"answered": 2.0, "gone": 1.0})
        other.kill()
        assert await counted(asked) == (8.0, {"answered": 1.0, "gone": 2.0})
        third = start()  # in the place of the first
        assert await counted(asked) == (8.0, {"answered": 2.0, "gone": 1.0})
        third.count(2)
        assert await counted(asked) == (10.0, {"answered": 2.0, "gone": 1.0})
        third.kill()
        for number in range(1, 6):  # one after the other, in the same place
            worker = start()
            worker.count(1)
            assert (await counted(asked))[0] == 10.0 + number
            worker.kill()
        assert await counted(asked) == (15.0, {"answered": 1.0, "gone": 2.0})


async def test_a_frozen_worker_counts_with_what_it_last_showed_and_its_gauges_are_left_out(directory, start, monkeypatch):
    async with running(directory) as asked:
        worker = start()
        worker.count(5)
        assert await counted(asked) == (5.0, {"answered": 2.0})
        both = (await asked.everywhere())["process_open_fds"][()]
        worker.process.send_signal(signal.SIGSTOP)
        found = await asked.everywhere()
        assert await counted(asked) == (5.0, {"answered": 1.0, "silent": 1.0})
        assert found["process_open_fds"][()] < both
        worker.process.send_signal(signal.SIGCONT)
        worker.count(1)
        async with asyncio.timeout(20):
            while await counted(asked) != (6.0, {"answered": 2.0}):
                pass


async def test_a_sum_never_goes_down_while_workers_come_and_go(directory, start):
    async with running(directory) as asked:
        seen = [0.0]

        async def watch():
            while True:
                seen.append((await counted(asked))[0])
                await asyncio.sleep(0.005)

        watching = asyncio.create_task(watch())
        for _ in range(4):
            worker = await asyncio.to_thread(start)
            for _ in range(10):
                await asyncio.to_thread(worker.count, 10)
            await counted(asked)
            await asyncio.to_thread(worker.kill)
        watching.cancel()
        assert seen == sorted(seen)
        assert (await counted(asked))[0] == 400.0


async def test_what_is_lost_by_a_kill_is_what_was_counted_since_it_was_last_kept(directory, start, monkeypatch):
    async with running(directory) as asked:
        worker = start()
        worker.count(5)
        await counted(asked)
        worker.count(100)  # seen by nobody
        worker.kill()
        assert (await counted(asked))[0] == 5.0


async def test_counts_are_kept_from_time_to_time_without_being_asked_for(directory, monkeypatch):
    monkeypatch.setattr(module, "KEEP_EVERY", 0.01)
    async with running(directory) as one:
        one.rungs.count("index", "embedded")
        async with asyncio.timeout(10):
            while RUNGS not in one.host.kept("metrics").get(1, {}):  # noqa: ASYNC110 - a file tells nobody
                await asyncio.sleep(0.01)


async def test_what_another_version_left_is_no_reason_to_fail(directory):
    (directory / "1.metrics.json").write_text('{"x": 1}')
    async with running(directory) as one:
        (directory / "2.lock").touch()
        (directory / "2.metrics.json").write_text('[["nonsense"]]')
        one.rungs.count("index", "embedded")
        assert (await counted(one))[0] == 1.0


async def test_the_page_is_what_prometheus_reads():
    registry = Registry(clock=ManualClock())
    registry.pipeline("dvecdb", Retry(initial_delay=0.0), CircuitBreaker())
    async with running(None) as telemetry:
        observe(registry, telemetry)
        registry["dvecdb"].call_sync(Script(ConnectionError(), "hit").sync)
        telemetry.http.begin()
        telemetry.http.end("GET", "/health", 200, 0.001)
        telemetry.rungs.count("index", "embedded")
        page = (await telemetry.exposition()).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert {"sengol_http_requests", "sengol_retries", "sengol_build_info", "process_cpu_seconds"} <= families.keys()
    for family in families.values():
        series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        assert len(series) == len(set(series)) > 0


async def test_whoever_counts_can_be_asked_too_and_one_that_fails_takes_no_other_with_it(caplog):
    family = CATALOGUE["sengol_rungs_served_total"]
    async with running(None) as telemetry:
        telemetry.collect_from(lambda: 1 / 0)
        telemetry.collect_from(lambda: [(family, ("cache", "local"), 2.0)])
        found = await telemetry.everywhere()
    assert found[RUNGS] == {("cache", "local"): 2.0}
    assert "metrics could not be collected" in caplog.text


async def test_who_looks_on_no_more_changes_nothing():
    registry = Registry(clock=ManualClock())
    search = registry.pipeline("dvecdb", Retry(initial_delay=0.0), CircuitBreaker())
    plain = search._run.__qualname__
    async with running(None) as telemetry:
        end = observe(registry, telemetry)
        assert search._run.__qualname__ != plain
        end()
        end()
        assert search._run.__qualname__ == plain
        search["circuit_breaker"].isolate()
        assert "sengol_circuit_breaker_state" not in telemetry.samples()


async def test_faults_of_the_loop_are_told_by_the_service_itself(caplog):
    async with running(None):
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0.01)
    assert [(record.name, record.levelno) for record in caplog.records] == [("sengol_api.log", logging.ERROR)]
