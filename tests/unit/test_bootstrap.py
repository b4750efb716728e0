"""What an operator is told about a start that cannot be."""

from contextlib import AsyncExitStack

import pytest

from sengol_api import bootstrap
from sengol_api.bootstrap.shared import Shared, share_breakers
from sengol_api.resilience import CircuitBreaker, InMemoryStore, Registry
from sengol_api.review.errors import DatabaseError
from sengol_api.settings import load


async def test_a_file_that_is_no_database_is_named_with_the_reason(tmp_path):
    (tmp_path / "sengol.sqlite3").write_bytes(b"\xff" * 4096)
    settings = load({"DATA_DIR": str(tmp_path)})
    with pytest.raises(DatabaseError) as caught:
        await bootstrap.prepare(settings)
    told = bootstrap.start_failure(settings, caught.value)
    assert f"{tmp_path}/sengol.sqlite3 cannot be used: file is not a database. " in told
    assert (await bootstrap.probe(settings))["database"][1].endswith("sengol.sqlite3: file is not a database")


async def test_a_breaker_that_reads_and_writes_have_in_common_is_shared_with_the_replicas_once():
    registry = Registry()
    reads = registry.pipeline("dvecdb", CircuitBreaker())
    registry.pipeline("dvecdb.writes", reads["circuit_breaker"])
    async with AsyncExitStack() as stack:
        await share_breakers(Shared(states=InMemoryStore()), registry, stack)
