"""What ``sengol-api check`` says of the servers that the settings name, and health before there is an index: over real sockets."""

import asyncio
from contextlib import AsyncExitStack
from importlib import import_module
from types import SimpleNamespace

import pytest

from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.bootstrap import open_database, probe
from sengol_api.bootstrap.dependencies import dependencies, look_after
from sengol_api.bootstrap.index import Indexes
from sengol_api.bootstrap.shared import Shared
from sengol_api.ops.drain import Drain
from sengol_api.resilience import Registry
from sengol_api.settings import load
from support.service_process import free_ports
from support.tiny_http import TinyHttp
from support.toys import BagOfWords

pytest_plugins = ["support.fixtures"]


def settings_for(tmp_path, **more):
    return load({"DATA_DIR": str(tmp_path), **more})


def at(server):
    return {"VECTOR_INDEX": "dvecdb", "DVECDB_HOST": "127.0.0.1", "DVECDB_PORT": str(server.port)}


async def test_a_d_vecdb_that_answers_is_named_with_its_address(dvecdb, tmp_path):
    assert (await probe(settings_for(tmp_path, **at(dvecdb))))["dvecdb"] == (True, f"127.0.0.1:{dvecdb.port}")


async def test_of_one_that_does_not_answer_is_said_why(tmp_path):
    (port,) = free_ports(1)
    well, said = (await probe(settings_for(tmp_path, **at(SimpleNamespace(port=port)))))["dvecdb"]
    assert not well
    assert said.startswith(f"127.0.0.1:{port}: ")


async def test_one_that_takes_the_question_and_says_nothing_is_given_some_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("sengol_api.bootstrap.probe"), "PATIENCE", 0.2)
    server = TinyHttp(lambda *_: asyncio.Event().wait(), name="silent")
    port = int(server.url.rpartition(":")[2])
    well, said = (await probe(settings_for(tmp_path, **at(SimpleNamespace(port=port)))))["dvecdb"]
    server.close()
    assert (well, said) == (False, f"127.0.0.1:{port}: no answer within 0.2 s")


async def test_who_searches_in_the_process_is_told_of_no_server(tmp_path):
    assert {"dvecdb", "pgvector"}.isdisjoint(await probe(settings_for(tmp_path)))


@pytest.mark.postgres
async def test_pgvector_is_named_with_its_version(pgvector_url, tmp_path):
    answers = await probe(settings_for(tmp_path, VECTOR_INDEX="pgvector", DATABASE_URL=pgvector_url))
    well, said = answers["pgvector"]
    assert well
    assert said.startswith("pgvector 0.")


async def test_pgvector_in_a_database_that_is_away_is_away(tmp_path):
    url = f"postgresql://someone@/nowhere?host={tmp_path}"
    well, said = (await probe(settings_for(tmp_path, VECTOR_INDEX="pgvector", DATABASE_URL=url)))["pgvector"]
    assert (well, said) == (False, "see database")


async def test_d_vecdb_has_an_entry_in_health_before_its_index_is_made_and_after(a_fake_dvecdb, tmp_path, monkeypatch):
    monkeypatch.setattr("sengol_api.ops.health.SHARED_FOR", 1e-9)
    settings, registry, embedder = settings_for(tmp_path, **at(a_fake_dvecdb)), Registry(), BagOfWords()
    database = open_database(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        indexes = Indexes(settings, database, "v1", registry, Shared(), stack)
        found = dependencies(database, SimpleNamespace(embedder=embedder), Shared(), None, indexes)
        health = look_after(found, registry, settings, Drain())

        async def check():
            return (await health.report()).checks["dvecdb"]

        before = await check()
        assert (before.status, before.breaker, before.stats) == ("ok", None, {"index": None})
        await indexes.make(embedder, ExactIndex(["a"], embedder.embed_now(["apples"])))
        after = await check()
        assert (after.status, str(after.breaker.state)) == ("ok", "CLOSED")
        assert after.stats.keys() == {"index", "rebuild", "statistics"}


async def test_one_that_is_away_before_its_index_is_made_is_down(tmp_path):
    (port,) = free_ports(1)
    settings = settings_for(tmp_path, **at(SimpleNamespace(port=port)))
    database, registry, embedder = open_database(settings), Registry(), BagOfWords()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        indexes = Indexes(settings, database, "v1", registry, Shared(), stack)
        found = dependencies(database, SimpleNamespace(embedder=embedder), Shared(), None, indexes)
        report = await look_after(found, registry, settings, Drain()).report()
    assert (report.checks["dvecdb"].status, report.checks["dvecdb"].reason) == ("down", "failed with ServerUnavailable")
