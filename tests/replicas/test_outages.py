"""What all replicas share goes away and comes back, while people work. Nobody does anything about it."""

import asyncio
import contextlib
import time

import pytest

from support.cluster import eventually, until
from support.load import Line, Member, Tally, crowd

AWAY = 4.0
"""Seconds."""


@contextlib.asynccontextmanager
async def people(replicas, a_user, tally):
    """Twenty-four people at work, until the block ends."""
    users = [await a_user() for _ in range(24)]
    members = [Member(Line(replicas.address, user), number, tally) for number, user in enumerate(users)]
    done = asyncio.Event()
    working = asyncio.create_task(crowd(members, done.is_set, pause=0.25))
    await asyncio.sleep(2.0)
    try:
        yield
    finally:
        done.set()
        await working


def asked_by(valkey) -> int:
    """How many replicas have asked this Valkey for a decision since it was last told to forget it."""
    clients = valkey.ask("CLIENT", "LIST").decode().splitlines()
    return sum("name=sengol-api" in each and "cmd=evalsha" in each for each in clients)


async def _valkey(replicas, a_user, figure, what, go, come):
    valkey, tally = replicas.stage.valkey, Tally()
    async with people(replicas, a_user, tally):
        await asyncio.to_thread(go)
        await asyncio.sleep(AWAY)
        await asyncio.to_thread(come)
        # A command that only the replicas send shows that they ask again: its counter begins anew.
        valkey.ask("CONFIG", "RESETSTAT")
        seconds = await asyncio.to_thread(until, lambda: _all_use(replicas, valkey), 60)
        await asyncio.sleep(1.0)
    assert tally.losses == [], "nobody notices"
    figure(
        f"Valkey {what} for {AWAY:g} s: {tally.asked} requests, none lost, p99 {tally.quantile(0.99) * 1000:.0f} ms, "
        f"slowest {max(tally.seconds) * 1000:.0f} ms; all replicas use it again {seconds:.1f} s after it is back"
    )


def _all_use(replicas, valkey) -> bool:
    return asked_by(valkey) == len(replicas.replicas)


async def test_a_frozen_valkey_is_not_noticed_and_used_again(replicas, a_user, figure):
    valkey = replicas.stage.valkey
    await _valkey(replicas, a_user, figure, "frozen", valkey.freeze, valkey.thaw)


async def test_a_killed_valkey_is_not_noticed_and_used_again(replicas, a_user, figure):
    valkey = replicas.stage.valkey
    await _valkey(replicas, a_user, figure, "killed", valkey.kill, valkey.start)


async def _served(line, path) -> bool:
    return (await line.ask("GET", path)).status == 200


@pytest.mark.parametrize("way", ["stopped", "frozen"])
async def test_postgresql_goes_and_comes_back_and_the_service_with_it(replicas, a_user, figure, way):
    postgres = replicas.stage.postgres
    go, come = (postgres.stop, postgres.start) if way == "stopped" else (postgres.freeze, postgres.thaw)
    tally, after, line = Tally(), Tally(), Line(replicas.address, await a_user())
    kept = (await line.ask("POST", "/api/review", {"name": "Kept"})).data["id"]
    async with people(replicas, a_user, tally):
        await asyncio.to_thread(go)
        await asyncio.sleep(AWAY)
        for each in replicas.replicas:  # none of them is restarted for it
            alive = Line(("127.0.0.1", each.port))
            assert (await alive.ask("GET", "/health/live")).status == 200
            assert (await alive.ask("GET", "/health/ready")).status == 503
            alive.close()
        meanwhile = await line.ask("GET", f"/api/review/{kept}")
        assert (meanwhile.status, meanwhile.headers["content-type"]) == (503, "application/json")
        assert meanwhile.headers["retry-after"]
        await asyncio.to_thread(come)
        began = time.monotonic()
        first = await eventually(lambda: _served(line, f"/api/review/{kept}")) - began
        await asyncio.to_thread(until, replicas.all_up, 60)
        healed = time.monotonic() - began
    for code in {loss.split(": ")[-1][:3] for loss in tally.losses}:
        assert code in {"500", "503"}, tally.losses
    assert all("without" not in loss for loss in tally.losses)
    async with people(replicas, a_user, after):
        assert (await line.ask("GET", f"/api/review/{kept}")).data["name"] == "Kept"
    assert after.losses == []
    line.close()
    figure(
        f"PostgreSQL {way} for {AWAY:g} s: first answer {first:.1f} s after it is back, all replicas ready after {healed:.1f} s; "
        f"{len(tally.losses)} requests refused meanwhile"
    )


async def _read(line, review):
    """The answer to who waits when he is told that he asks too often."""
    answer = await line.ask("GET", f"/api/review/{review}")
    if answer.status != 429:
        return answer
    await asyncio.sleep(int(answer.headers["retry-after"]))
    return await _read(line, review)


async def test_postgresql_killed_under_load_keeps_what_was_acknowledged(replicas, a_user, figure):
    """As its machine would end it: all of it at once, without a last write."""
    postgres, line = replicas.stage.postgres, Line(replicas.address, await a_user())
    acknowledged = []

    async def write() -> None:
        while True:
            answer = await line.ask("POST", "/api/review", {"name": f"Review {len(acknowledged)}"})
            if answer.status != 201:
                return
            acknowledged.append(answer.data["id"])

    writing = asyncio.create_task(write())
    await asyncio.sleep(1.5)
    await asyncio.to_thread(postgres.kill)
    await writing
    await asyncio.to_thread(postgres.start)
    await eventually(lambda: _served(line, "/api/review?limit=1"))
    await asyncio.to_thread(until, replicas.all_up, 60)
    assert len(acknowledged) > 20
    for review in acknowledged:
        assert (await _read(line, review)).status == 200, "it was acknowledged"
    line.close()
    figure(f"kill -9 of PostgreSQL: {len(acknowledged)} acknowledged writes, 0 lost")
