"""``AuditLog`` over SQLite and PostgreSQL."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.ops.audit import Act
from support.toys import NOON

ACT = Act(
    at=NOON,
    actor="admin@example.com",
    actor_id="user-1",
    action="circuit-breaker.isolate",
    target="dvecdb",
    result="done",
    request_id="find-me",
)


@pytest.fixture
def audit(database) -> SqlAuditLog:
    """An empty log."""
    return SqlAuditLog(database)


async def test_an_act_is_kept_with_all_that_it_says(audit):
    kept = await audit.add(ACT)
    assert kept == replace(ACT, id=kept.id)
    assert await audit.page(offset=0, limit=10) == ([kept], 1)
    assert (await audit.add(replace(ACT, actor_id=None, actor="host:söhne"))).id > kept.id


async def test_an_empty_log_has_no_number_and_no_act(audit):
    assert await audit.last_number() == 0
    assert await audit.page(offset=0, limit=10) == ([], 0)
    assert await audit.since(0, limit=10) == []
    assert await audit.latest(["circuit-breaker.isolate"]) == []


async def test_a_page_has_the_latest_first(audit):
    kept = [await audit.add(replace(ACT, target=str(number))) for number in range(5)]
    page, total = await audit.page(offset=1, limit=2)
    assert (page, total) == ([kept[3], kept[2]], 5)


async def test_who_follows_gets_what_came_since_in_its_order_and_not_too_much_at_once(audit):
    kept = [await audit.add(replace(ACT, target=str(number))) for number in range(5)]
    assert await audit.since(kept[1].id, limit=2) == kept[2:4]
    assert await audit.since(kept[4].id, limit=2) == []
    assert await audit.last_number() == kept[4].id


async def test_the_last_act_to_each_target_is_what_holds(audit):
    isolate, reset = "circuit-breaker.isolate", "circuit-breaker.reset"
    script = [("a", isolate), ("b", isolate), ("a", reset), ("c", "cache.clear"), ("b", reset), ("b", isolate)]
    kept = [await audit.add(replace(ACT, target=target, action=action)) for target, action in script]
    assert await audit.latest([isolate, reset]) == [kept[2], kept[5]]


class SlowToCommit:
    """A database whose transactions stay open until they are released."""

    def __init__(self, database) -> None:
        self._database = database
        self.written, self.release = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def write(self):
        async with self._database.write() as connection:
            yield connection
            self.written.set()
            await self.release.wait()


async def test_no_act_appears_before_one_of_a_lower_number(audit, database):
    """Who follows the log has seen the higher one by then, and would never see the lower one."""
    slow = SlowToCommit(database)
    first = asyncio.create_task(SqlAuditLog(slow).add(replace(ACT, target="first")))
    await slow.written.wait()
    second = asyncio.create_task(audit.add(replace(ACT, target="second")))
    await asyncio.wait({second}, timeout=0.5)
    seen = await audit.since(0, limit=10)
    slow.release.set()
    kept = [await first, await second]
    assert seen == []
    assert await audit.since(0, limit=10) == kept


async def test_a_target_is_data_and_never_a_statement(audit):
    hostile = "'; DROP TABLE admin_acts; --"
    kept = await audit.add(replace(ACT, target=hostile))
    assert (await audit.page(offset=0, limit=1))[0] == [kept]
