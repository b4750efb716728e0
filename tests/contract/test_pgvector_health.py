"""pgvector as the health of the service shows it, on a real PostgreSQL."""

from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.pgvector.table import VectorTable
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.bootstrap.dependencies import dependencies, look_after
from sengol_api.bootstrap.index import Indexes
from sengol_api.bootstrap.shared import Shared
from sengol_api.ops.drain import Drain
from sengol_api.resilience import CircuitState, Registry
from sengol_api.review.errors import DatabaseError
from sengol_api.settings import load
from support.builders import make_incident
from support.toys import NOON, BagOfWords

pytestmark = pytest.mark.postgres


class Service:
    """What of a service its health needs, with VECTOR_INDEX=pgvector."""

    def __init__(self, url: str, stack: AsyncExitStack, data_dir, name: str) -> None:
        self.settings = load({"DATABASE_URL": url, "VECTOR_INDEX": "pgvector", "DATA_DIR": str(data_dir)})
        self.database, self.registry = Database(url, connections=2), Registry()
        self.embedder = BagOfWords()
        self.embedder.name = name  # a table of the test's own
        self.indexes = Indexes(self.settings, self.database, "v1", self.registry, Shared(), stack)
        found = dependencies(self.database, SimpleNamespace(embedder=self.embedder), Shared(), None, self.indexes)
        self.health = look_after(found, self.registry, self.settings, Drain())

    async def make(self):
        """The index, as the start makes it, or the work in the background."""
        return await self.indexes.make(self.embedder, ExactIndex([], self.embedder.embed_now([])))

    async def check(self):
        """What pgvector says now."""
        return (await self.health.report()).checks["pgvector"]


@pytest.fixture
async def service(pgvector_url, tmp_path, request, monkeypatch):
    monkeypatch.setattr("sengol_api.ops.health.SHARED_FOR", 1e-9)
    async with AsyncExitStack() as stack:
        made = Service(pgvector_url, stack, tmp_path, f"health of {request.node.name}")
        stack.push_async_callback(made.database.close)
        incident = make_incident("a", text="apples")
        await SqlIncidentStore(made.database, made.embedder, now=lambda: NOON).put("own", [incident], remove_others=True)
        yield made


async def drop(service):
    async with service.database.write() as connection:
        await connection.execute(sa.text(f"DROP TABLE {VectorTable.of(service.embedder).name}"))


async def test_it_has_an_entry_of_its_own_with_its_breaker_and_what_it_holds(service):
    await service.make()
    check = await service.check()
    assert (check.status, check.reason, check.breaker.state) == ("ok", None, CircuitState.CLOSED)
    assert check.seconds > 0
    assert check.stats == {"index": {"vectors": 1, "dimension": service.embedder.dimension}}


async def test_before_the_index_is_made_the_server_is_asked(service):
    check = await service.check()
    assert (check.status, check.breaker.state, check.stats) == ("ok", CircuitState.CLOSED, {"index": None})


async def test_a_table_that_is_gone_degrades_the_service_and_takes_no_replica_out(service):
    await service.make()
    await drop(service)
    report = await service.health.report()
    assert (report.status, report.checks["pgvector"].status, report.checks["database"].status) == ("degraded", "down", "ok")
    assert report.checks["pgvector"].reason == "failed with ProgrammingError"
    assert (await service.health.readiness()).reason is None


async def test_a_replica_whose_connections_are_all_in_use_is_not_one_without_it(service):
    await service.make()
    async with service.database.read(), service.database.read():
        assert (await service.check()).status == "ok"


async def test_an_index_that_could_not_be_made_at_first_is_made_later(service, monkeypatch):
    failing = ["once"]

    async def open_or_fail(*_, **__):
        if failing:
            failing.pop()
            raise DatabaseError("The database was away.")
        return SimpleNamespace()

    monkeypatch.setattr("sengol_api.bootstrap.index.PgVectorIndex.open", open_or_fail)
    with pytest.raises(DatabaseError):
        await service.make()
    monkeypatch.undo()
    await service.make()
    assert (await service.check()).status == "ok"
    assert list(service.registry.breakers()) == ["pgvector"]
