"""The health check of a real database that freezes and comes back."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import text

from sengol_api.adapters.sql.engine import Database
from sengol_api.ops.health import Dependency, Health
from sengol_api.resilience import Registry
from support.process import children

pytestmark = pytest.mark.postgres
NO_MEMORY = 1e-9


@contextmanager
def frozen(url):
    """All processes of the server stopped: it accepts connections and says nothing."""
    folder = Path(parse_qs(urlsplit(url).query)["host"][0])
    (lock,) = folder.glob(".s.PGSQL.*.lock")
    parent = int(lock.read_text().split("\n", 1)[0])
    stopped = [parent, *children(parent)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


async def test_a_frozen_postgresql_makes_it_not_ready_within_the_time_of_the_check_and_ready_again_when_it_thaws(
    postgres, monkeypatch
):
    monkeypatch.setattr("sengol_api.ops.health.SHARED_FOR", NO_MEMORY)
    database = Database(url := postgres.format("postgres"))
    health = Health([Dependency(name="database", check=database.ping, timeout=0.3)], Registry(), required=["database"])
    try:
        assert (await health.readiness()).reason is None
        with frozen(url):
            for _ in range(3):
                found = await health.readiness()
                assert found.reason == "without database"
                assert found.checks["database"].reason in {"no answer within 300 ms", "earlier checks have not ended"}
        seen = {(await health.readiness()).reason for _ in range(20)}
        assert None in seen
        assert (await health.readiness()).reason is None
    finally:
        await database.close()


async def test_a_database_whose_connections_are_all_in_use_is_not_one_that_is_away(database):
    async with AsyncExitStack() as held:
        for _ in range(15 if database.is_sqlite else 20):  # as many as the pools have
            await held.enter_async_context(database.read())
        async with asyncio.timeout(10):
            await database.ping()


async def test_a_worker_opens_no_more_connections_to_postgresql_than_it_is_given(postgres):
    database = Database(postgres.format("postgres"), connections=3)

    async def one() -> int:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_sleep(0.02)"))
            ours = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"
            return (await connection.execute(text(ours))).scalar_one() + 1

    try:
        assert max(await asyncio.gather(*(one() for _ in range(20)))) <= 3
    finally:
        await database.close()
