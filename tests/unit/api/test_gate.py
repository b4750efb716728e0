"""Who is let in when there is more to do than can be done."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from sengol_api.api.gate import Gate, GateOptions, level_of
from sengol_api.resilience import Overloaded, Priority, Registry, Station, current_priority
from sengol_api.resilience.testing import run_virtual
from sengol_api.review.errors import ValidationError


@pytest.mark.parametrize(
    ("wish", "own", "level"),
    [
        (None, Priority.INTERACTIVE, Priority.INTERACTIVE),
        ("batch", Priority.INTERACTIVE, Priority.BATCH),
        (" Batch ", Priority.CRITICAL, Priority.BATCH),
        ("critical", Priority.INTERACTIVE, Priority.INTERACTIVE),
        ("interactive", Priority.BATCH, Priority.BATCH),
    ],
)
def test_a_client_can_only_lower_the_priority_of_its_request(wish, own, level):
    assert level_of(wish, own) is level


@pytest.mark.parametrize("wish", ["", "urgent", "1", "batch, critical"])
def test_a_priority_that_does_not_exist_is_told(wish):
    with pytest.raises(ValidationError) as wrong:
        level_of(wish, Priority.INTERACTIVE)
    assert wrong.value.problems[0].path == "X-Priority"


async def hold(gate, release, started, level=Priority.INTERACTIVE, work="heavy", user=None):
    async def do():
        started.append(user or current_priority())
        await release.wait()
        return "done"

    return await gate.admit(work, level, do, user=user)


async def test_more_than_fits_waits_and_what_matters_least_gives_way():
    gate, release, started = Gate(GateOptions(least_heavy=1, most_heavy=1, queue=2)), asyncio.Event(), []
    levels = (Priority.INTERACTIVE, Priority.BATCH, Priority.BATCH, Priority.BATCH, Priority.CRITICAL)
    tasks = [asyncio.create_task(hold(gate, release, started, level)) for level in levels]
    for _ in range(3):
        await asyncio.sleep(0)
    release.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(each, Overloaded) for each in ended] == [False, False, True, True, False]
    assert ended[3].retry_after > 0
    assert started == [Priority.INTERACTIVE, Priority.CRITICAL, Priority.BATCH]


async def test_heavy_work_never_stands_in_the_way_of_light_work():
    gate, release, started = Gate(GateOptions(least_heavy=1, most_heavy=1, queue=0)), asyncio.Event(), []
    heavy = asyncio.create_task(hold(gate, release, started))
    await asyncio.sleep(0)
    assert await gate.admit("light", Priority.INTERACTIVE, lambda: asyncio.sleep(0, "there")) == "there"
    release.set()
    assert await heavy == "done"


def let_in(computes, waits, seconds=20.0, first=16):
    """How many pieces of heavy work a gate lets in at once after so long, when there is always one more; virtual time."""

    async def main(loop):
        registry, computing, thread, chance = Registry(), Station(loop.time), asyncio.Lock(), Random(3)
        gate = Gate(GateOptions(first_heavy=first), registry, computing, clock=loop)

        async def do():
            leave = computing.enter()
            async with thread:
                await asyncio.sleep(computes)
            leave()
            await asyncio.sleep(waits)

        async def client():
            while True:
                with suppress(Overloaded):
                    await gate.admit("heavy", Priority.INTERACTIVE, do)
                await asyncio.sleep(chance.random())

        clients = [asyncio.create_task(client()) for _ in range(150)]
        await asyncio.sleep(seconds)
        for each in clients:
            each.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        return registry.snapshot()["admission.heavy"]["admission"].limit

    return run_virtual(main)


@pytest.mark.parametrize(("waits", "least", "most"), [(0.0, 1, 1), (0.05, 2, 3), (1.0, 15, 32), (3.0, 45, 90)])
def test_as_much_heavy_work_is_let_in_as_keeps_the_process_computing(waits, least, most):
    assert least <= let_in(computes=0.05, waits=waits) <= most


async def test_who_asks_for_much_at_once_stands_behind_those_who_ask_for_little():
    gate, release, started = Gate(GateOptions(least_heavy=1, most_heavy=1, own=2)), asyncio.Event(), []
    tasks = [asyncio.create_task(hold(gate, release, started, user="greedy")) for _ in range(6)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(hold(gate, release, started, user=user)) for user in ("one", "two", "three")]
    await asyncio.sleep(0)
    release.set()
    assert await asyncio.gather(*tasks) == ["done"] * 9
    assert started == ["greedy", "greedy", "one", "two", "three", "greedy", "greedy", "greedy", "greedy"]


async def test_who_is_alone_may_have_all_places():
    gate, release, started = Gate(GateOptions(least_heavy=4, most_heavy=4, own=1)), asyncio.Event(), []
    tasks = [asyncio.create_task(hold(gate, release, started, user="alone")) for _ in range(4)]
    await asyncio.sleep(0)
    assert started == ["alone"] * 4
    release.set()
    await asyncio.gather(*tasks)
    tasks = [asyncio.create_task(hold(gate, release, started, user="alone"))]
    assert await asyncio.gather(*tasks) == ["done"]


async def test_what_an_administrator_does_keeps_its_class_however_much_it_is():
    gate, release, started = Gate(GateOptions(least_heavy=1, most_heavy=1, own=1)), asyncio.Event(), []
    tasks = [asyncio.create_task(hold(gate, release, started, user="one")) for _ in range(1)]
    tasks += [asyncio.create_task(hold(gate, release, started, user="two")) for _ in range(1)]
    tasks += [asyncio.create_task(hold(gate, release, started, Priority.CRITICAL, user="admin")) for _ in range(3)]
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*tasks)
    assert started == ["one", "admin", "admin", "admin", "two"]
