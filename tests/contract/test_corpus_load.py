"""The corpus in a database that replicas share."""

import asyncio

import pytest

from contract.conftest import run_sql
from sengol_api import bootstrap
from sengol_api.adapters.corpus import own
from sengol_api.adapters.sql import schema
from sengol_api.bootstrap import corpus
from sengol_api.settings import load

pytestmark = pytest.mark.postgres


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """Every time that the one origin there is was read."""
    times: list[str] = []
    whole = list(own.read_own())[:20]

    def reading():
        times.append("read")
        return whole

    monkeypatch.setattr(corpus, "origins", lambda: (corpus.Origin("sengol", "1", reading),))
    return times


@pytest.fixture
def replica(postgres, tmp_path):
    """The settings of a replica: a data directory of its own, and a database that all share."""
    asyncio.run(run_sql(postgres.format("postgres"), "DROP DATABASE IF EXISTS loads"))
    asyncio.run(run_sql(postgres.format("postgres"), "CREATE DATABASE loads"))
    return lambda name: load({"DATA_DIR": str(tmp_path / name), "DATABASE_URL": postgres.format("loads")})


async def test_of_replicas_that_start_at_once_one_loads_the_corpus(read, replica):
    done = await asyncio.gather(*(bootstrap.prepare(replica(name)) for name in ("one", "two", "three")))
    assert read == ["read"]
    assert sorted(each["sengol"].added if each else 0 for each in done) == [0, 0, 20]


async def test_a_replica_that_never_finishes_its_load_keeps_nobody_from_starting(read, replica, monkeypatch):
    monkeypatch.setattr(schema, "LOADING_SECONDS", 1)
    await bootstrap.prepare(replica("first"))
    monkeypatch.setattr(corpus, "origins", lambda: (corpus.Origin("sengol", "2", lambda: list(own.read_own())[:5]),))
    database = bootstrap.open_database(replica("frozen"))
    async with schema.loading_alone(database):
        done = await bootstrap.prepare(replica("second"))
    await database.close()
    assert done["sengol"].removed == 15
