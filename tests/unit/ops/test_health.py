"""Health on virtual time: what is shown of dependencies that answer, fail, hang and come back."""

import asyncio
import gc
import logging

import pytest

from sengol_api.ops.health import MOST_UNENDED, Dependency, Health
from sengol_api.resilience import Bulkhead, Cache, CircuitBreaker, CircuitOpen, Registry
from sengol_api.resilience.testing import VirtualLoop, run_virtual


class Fake:
    """A dependency of which a test decides how it is, and which counts how often it was asked."""

    def __init__(self, *, takes=0.0, error=None) -> None:
        self.takes = takes
        self.error = error
        self.asked = 0
        self.release = asyncio.Event()

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error


class Frozen(Fake):
    """One that hears nothing, a cancellation neither, until it is released."""

    async def __call__(self) -> None:
        self.asked += 1
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue


def run(main, *, required=("database",), registry=None, closed=lambda: None, **fakes):
    """Runs ``main(health)`` on virtual time."""
    loop = VirtualLoop()

    async def begin():
        dependencies = [
            fake if isinstance(fake, Dependency) else Dependency(name=name, check=fake, timeout=1.0) for name, fake in fakes.items()
        ]
        health = Health(dependencies, registry or Registry(), required=required, closed=closed, clock=loop)
        try:
            return await main(health)
        finally:
            for fake in fakes.values():
                if isinstance(fake, Fake):
                    fake.release.set()
            await asyncio.sleep(0.1)

    return run_virtual(begin(), loop=loop)


async def report(health):
    return await health.report()


def test_all_are_asked_at_once_and_the_time_of_each_is_told():
    found = run(report, database=Fake(takes=0.2), dvecdb=Fake(takes=0.3))
    assert found.status == "ok"
    assert {name: (check.status, round(check.seconds, 3)) for name, check in found.checks.items()} == {
        "database": ("ok", 0.2),
        "dvecdb": ("ok", 0.3),
    }
    assert found.seconds == pytest.approx(0.3)


@pytest.mark.parametrize(("database", "dvecdb", "status"), [(0, 0, "ok"), (0, 9, "degraded"), (9, 0, "down"), (9, 9, "down")])
def test_without_what_is_required_it_is_down_without_anything_else_degraded(database, dvecdb, status):
    assert run(report, database=Fake(takes=database), dvecdb=Fake(takes=dvecdb)).status == status


def test_a_frozen_dependency_delays_the_answer_by_its_own_time_and_no_more():
    found = run(report, database=Fake(), dvecdb=Frozen(), openai=Fake(takes=0.1))
    assert found.checks["dvecdb"].status == "down"
    assert found.checks["dvecdb"].reason == "no answer within 1000 ms"
    assert found.seconds == pytest.approx(1.0)
    assert found.checks["openai"].status == "ok"


def test_one_that_never_ends_its_checks_is_asked_a_few_times_and_then_no_more_until_it_lets_go():
    frozen = Frozen()

    async def main(health):
        for _ in range(10):
            found = await health.report()
            await asyncio.sleep(2)
        assert found.checks["dvecdb"].reason == "earlier checks have not ended"
        assert frozen.asked == MOST_UNENDED
        frozen.release.set()
        await asyncio.sleep(2)
        return await health.report()

    assert run(main, database=Fake(), dvecdb=frozen).checks["dvecdb"].status == "ok"


@pytest.mark.parametrize("clean_up", ["ends", "fails"])
def test_a_check_whose_time_is_over_is_cancelled_and_what_its_clean_up_raises_is_nobodys_surprise(clean_up, caplog):
    cancelled = []

    async def hangs():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            if clean_up == "fails":
                raise OSError("while it was cleaned up") from None
            raise

    async def main(health):
        await health.report()
        await asyncio.sleep(1)
        gc.collect()

    run(main, database=Fake(), dvecdb=Dependency(name="dvecdb", check=hangs))
    assert cancelled == [1]
    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError("db.internal:5432 user=canary"), "failed with ConnectionRefusedError"),
        (RuntimeError("password=canary"), "failed with RuntimeError"),
        (CircuitOpen("canary", "circuit_breaker", 3.0), "its circuit breaker is open"),
        (asyncio.CancelledError("canary"), "failed with CancelledError"),
    ],
)
def test_a_check_that_raises_is_down_with_a_reason_that_names_no_host_and_no_secret(error, reason):
    found = run(report, database=Fake(), dvecdb=Fake(error=error))
    assert (found.checks["dvecdb"].status, found.checks["dvecdb"].reason) == ("down", reason)
    assert "canary" not in repr(found.checks)


def test_the_cause_of_a_translated_error_is_the_reason():
    error = RuntimeError("translated")
    error.__cause__ = ConnectionResetError("canary")
    assert run(report, database=Fake(), dvecdb=Fake(error=error)).checks["dvecdb"].reason == "failed with ConnectionResetError"


def test_who_asks_again_within_a_second_is_told_the_same_and_later_anew():
    database = Fake(takes=0.1)

    async def main(health):
        first = await health.report()
        await asyncio.sleep(0.9)
        second = await health.report()
        await asyncio.sleep(0.2)
        third = await health.report()
        return first, second, third

    first, second, third = run(main, database=database)
    assert second is first
    assert third is not first
    assert database.asked == 2


def test_many_who_ask_at_once_share_one_check_though_the_first_goes_away():
    database = Fake(takes=0.5)

    async def main(health):
        callers = [asyncio.create_task(health.report()) for _ in range(50)]
        await asyncio.sleep(0.1)
        callers[0].cancel()
        return await asyncio.gather(*callers, return_exceptions=True)

    first, *rest = run(main, database=database)
    assert isinstance(first, asyncio.CancelledError)
    assert {found.status for found in rest} == {"ok"}
    assert database.asked == 1


def test_a_dependency_behind_an_open_breaker_is_degraded_and_so_is_the_whole():
    registry = Registry()
    registry.pipeline("vectorSearch", CircuitBreaker())
    registry.breakers()["vectorSearch"].open_for(30)
    fake = Fake()
    dvecdb = Dependency(name="dvecdb", check=fake, pipeline="vectorSearch")
    found = run(report, registry=registry, database=Fake(), dvecdb=dvecdb)
    check = found.checks["dvecdb"]
    assert (check.status, check.reason, check.breaker.state) == ("degraded", "its circuit breaker is OPEN", "OPEN")
    assert fake.asked == 1
    assert found.status == "degraded"


@pytest.mark.parametrize(
    ("steer", "status"),
    [("isolate", "degraded"), ("disable", "ok"), ("reset", "ok")],
)
def test_a_breaker_that_belongs_to_no_dependency_counts_too(steer, status):
    registry = Registry()
    registry.pipeline("llmResponse", CircuitBreaker())
    getattr(registry.breakers()["llmResponse"], steer)()
    found = run(report, registry=registry, database=Fake())
    assert found.status == status
    assert list(found.breakers) == ["llmResponse"]


def test_a_pipeline_that_is_not_there_or_has_no_breaker_is_none():
    registry = Registry()
    registry.pipeline("plain", Bulkhead())
    fakes = {name: Dependency(name=name, check=Fake(), pipeline=name) for name in ("plain", "absent")}
    found = run(report, registry=registry, database=Fake(), **fakes)
    assert [found.checks[name].breaker for name in fakes] == [None, None]
    assert found.status == "ok"


def test_caches_are_found_by_their_kind_with_their_bounds():
    registry = Registry()
    registry.pipeline("vectorSearch", Cache(max_entries=10))
    registry.pipeline("llmResponse", Cache(max_entries=20))
    registry.pipeline("none", Bulkhead())
    found = run(report, registry=registry, database=Fake()).caches
    assert {name: view.max_entries for name, view in found.items()} == {"llmResponse": 20, "vectorSearch": 10}


def test_what_a_dependency_says_of_itself_is_shown_and_may_fail(caplog):
    def broken():
        raise KeyError("canary")

    found = run(
        report,
        database=Fake(),
        openai=Dependency(name="openai", check=Fake(), stats=lambda: {"tokens": 5}),
        dvecdb=Dependency(name="dvecdb", check=Fake(), stats=broken),
    )
    assert found.checks["openai"].stats == {"tokens": 5}
    assert (found.checks["dvecdb"].status, found.checks["dvecdb"].stats) == ("ok", None)
    assert [record.dependency for record in caplog.records] == ["dvecdb"]


def test_a_dependency_that_goes_and_comes_back_is_two_lines_in_the_log_not_one_a_check(caplog):
    caplog.set_level(logging.INFO, "sengol_api")
    database = Fake(error=OSError("no route to db.internal"))

    async def main(health):
        for _ in range(5):
            await health.report()
            await asyncio.sleep(2)
        database.error = None
        for _ in range(5):
            await health.report()
            await asyncio.sleep(2)

    run(main, database=database)
    assert [(record.message, record.dependency) for record in caplog.records] == [
        ("a dependency is down", "database"),
        ("a dependency is back", "database"),
    ]
    assert "no route" in str(caplog.records[0].exc_info[1])


# --- readiness


async def readiness(health):
    return await health.readiness()


def test_only_what_is_required_is_asked_before_requests_are_sent_here():
    dvecdb = Fake(takes=9)
    found = run(readiness, database=Fake(), dvecdb=dvecdb)
    assert found.reason is None
    assert list(found.checks) == ["database"]
    assert dvecdb.asked == 0


def test_without_what_is_required_it_is_not_ready_and_says_without_what():
    found = run(readiness, required=("database", "cache"), database=Fake(takes=9), cache=Fake(error=OSError()), other=Fake())
    assert found.reason == "without cache, database"


def test_a_required_dependency_whose_breaker_is_open_but_that_answers_does_not_take_the_replica_out():
    registry = Registry()
    registry.pipeline("db", CircuitBreaker())
    registry.breakers()["db"].open_for(30)
    database = Dependency(name="database", check=Fake(), pipeline="db")
    assert run(readiness, registry=registry, database=database).reason is None


def test_while_the_process_stops_nothing_is_asked():
    database = Fake()
    found = run(readiness, closed=lambda: "it is stopping", database=database)
    assert (found.reason, found.checks, database.asked) == ("it is stopping", {}, 0)


def test_an_end_that_begins_while_a_dependency_is_asked_counts():
    state = []
    database = Fake(takes=0.5)

    async def main(health):
        asyncio.get_running_loop().call_later(0.2, state.append, "it is stopping")
        return await health.readiness()

    assert run(main, closed=lambda: state[0] if state else None, database=database).reason == "it is stopping"


def test_probes_and_reports_share_their_checks():
    database = Fake(takes=0.1)

    async def main(health):
        await asyncio.gather(health.readiness(), health.report(), health.readiness())

    run(main, database=database)
    assert database.asked == 1


def test_nothing_may_be_required():
    assert run(readiness, required=(), database=Fake(takes=9)).reason is None


def test_a_required_dependency_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(ValueError, match="databse: no such dependency; there are database"):
        Health([Dependency(name="database", check=Fake())], Registry(), required=["databse"])
    with pytest.raises(ValueError, match="same name"):
        Health([Dependency(name="database", check=Fake())] * 2, Registry())
