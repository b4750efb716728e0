"""Work beside the event loop does not stand behind a name server that never answers."""

import asyncio
import socket
import sys
import threading

import pytest

from sengol_api.bootstrap import threads
from sengol_api.resilience import Station
from sengol_api.resilience.testing import ManualClock


@pytest.fixture
def dead_name_server(monkeypatch):
    """Looks up for longer than a test takes."""
    over, asked = threading.Event(), threading.Semaphore(0)

    def look_up(*_, **__):
        asked.release()
        over.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "the name server does not answer")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    over.set()


@pytest.fixture
def aside():
    """Work aside, in the loop of the test alone."""
    before = sys.getswitchinterval()
    yield threads.work_aside
    sys.setswitchinterval(before)


def test_a_name_that_nobody_knows_keeps_no_work_from_being_done(aside, dead_name_server):
    async def main():
        aside()
        lookups = [asyncio.create_task(asyncio.open_connection("a.name.example", 80)) for _ in range(3 * threads.LOOKUPS)]
        await asyncio.sleep(0)  # all are sent off
        assert await asyncio.to_thread(threading.current_thread) is not threading.main_thread()
        for _ in range(threads.LOOKUPS):
            assert await asyncio.to_thread(dead_name_server.acquire, timeout=5)
        assert not any(each.done() for each in lookups)
        for each in lookups:
            each.cancel()
        await asyncio.wait(lookups)

    asyncio.run(asyncio.wait_for(main(), 10))


def test_one_thing_is_worked_out_at_a_time(aside):
    async def main():
        aside()
        return {await each for each in [asyncio.to_thread(threading.get_ident) for _ in range(5)]}

    assert len(asyncio.run(main())) == 1


@pytest.fixture
def station():
    """Where no time passes: its load is what there is at the moment."""
    return Station(ManualClock().now)


def test_work_is_counted_where_it_is_done_and_lookups_are_not(aside, dead_name_server, station):
    go_on = threading.Event()

    async def main():
        aside(station)
        lookup = asyncio.create_task(asyncio.open_connection("a.name.example", 80))
        await asyncio.sleep(0)
        assert station.load().at_work == 0
        assert await asyncio.to_thread(station.load) == (0, 1, 1)
        with station.call():
            pieces = [asyncio.create_task(asyncio.to_thread(go_on.wait, 5)) for _ in range(3)]
            await asyncio.sleep(0)
        assert station.load() == (0, 1, 1)
        go_on.set()
        await asyncio.gather(*pieces)
        assert station.load() == (0, 0, 0)
        lookup.cancel()
        await asyncio.wait([lookup])

    asyncio.run(asyncio.wait_for(main(), 10))


def test_work_that_is_refused_is_not_counted(station):
    pool = threads.Threads(station)
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(print)
    assert station.load().at_work == 0


def test_work_that_was_given_up_before_it_began_is_not_counted(station):
    go_on = threading.Event()
    pool = threads.Threads(station)
    try:
        first, second = pool.submit(go_on.wait, 5), pool.submit(print)
        assert second.cancel()
    finally:
        go_on.set()
        pool.shutdown()
    assert first.result()
    assert station.load().at_work == 0
