"""Work beside the event loop does not stand behind a name server that never answers."""

import asyncio
import socket
import sys
import threading

import pytest

from sengol_api.bootstrap import threads


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
