"""The first look at a request for heavy work."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from sengol_api.api import door
from sengol_api.api.app import OPERATIONS
from sengol_api.api.dispatch import CONTENT
from sengol_api.api.door import Door
from sengol_api.api.gate import OVER_SHARE
from sengol_api.ops.drain import Drain
from sengol_api.resilience.testing import hang, run_virtual
from support.toolkit.admissions import INTERACTIVE, admitting, end, overloaded, started, state

REVIEW = "/api/review/rev-1/generate-questions"
SEARCH = "/api/incidents/search"
BODY = b'{"systemDescription":"A chatbot"}'


class House:
    """A door, a line that the test fills, and an application that says what came through."""

    def __init__(self, loop):
        self.heavy = admitting(loop, max_queue=100, target_delay=0.25)
        self.line, self.drain = self.heavy["admission"], Drain()
        self.services = SimpleNamespace(gate=SimpleNamespace(heavy_line=self.line), drain=self.drain)
        self.door = Door(self._application, OPERATIONS, lambda: self.services, loop.time)
        self.passed, self.bodies, self.status = [], [], 200

    async def _application(self, scope, receive, send):
        content = (await receive())["body"] if scope["method"] == "POST" else b""
        self.passed.append(scope["state"])
        self.bodies.append(content)
        scope["state"][CONTENT] = content
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, path=REVIEW, *, token=b"Bearer one", body=BODY, method="POST", **headers):
        """The status, the body and the state of an answer."""
        sent, given = [], [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return given.pop(0) if given else {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        head = [(b"authorization", token), (b"content-length", b"%d" % len(body))]
        head += [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        state = {"request_id": "id"}
        scope = {"type": "http", "method": method, "path": path, "headers": head, "state": state, "query_string": b""}
        await self.door(scope, receive, send)
        return sent[0]["status"], sent[-1]["body"], state

    async def status_of(self, *args, **kwargs):
        """The status alone."""
        return (await self.ask(*args, **kwargs))[0]

    def shed(self):
        """How many were shed."""
        return state(self.heavy).reasons["crowded"]

    async def overload(self):
        """Twice as many pieces of work as can be done, until some wait in a standing line."""
        tasks = await overloaded(self.heavy, lambda: self.heavy.call(asyncio.sleep, 0.1), every=0.05)
        for _ in range(100):
            if self.line.crowded(INTERACTIVE):
                return tasks
            await asyncio.sleep(0.05)
        raise AssertionError("the line never got as short as that of an overload is")


def in_a_house(test):
    """Run a test in time that passes by itself."""
    run_virtual(lambda loop: test(House(loop)))


def test_without_an_overload_everything_passes_as_it_came():
    async def main(house):
        assert await house.status_of() == 200
        assert house.bodies == [BODY]
        assert OVER_SHARE not in house.passed[0]

    in_a_house(main)


def test_under_overload_heavy_work_is_refused_with_all_that_an_error_says():
    async def main(house):
        tasks = await house.overload()
        status, body, told = await house.ask()
        error = json.loads(body)
        assert (status, error["code"], error["requestId"]) == (503, "OVERLOADED", "id")
        assert error["metadata"]["retryAfter"] >= 1
        assert (told["route"], told["error_code"]) == ("/api/review/{id}/generate-questions", "OVERLOADED")
        assert (house.passed, house.shed()) == ([], 1)
        await end(*tasks)

    in_a_house(main)


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/review/rev-1", "GET"), ("/health", "GET"), ("/api/review/rev-1/save-questions", "PUT"), (REVIEW, "OPTIONS")],
)
def test_what_is_no_heavy_work_passes_whatever_the_line(path, method):
    async def main(house):
        tasks = await house.overload()
        assert await house.status_of(path, method=method) == 200
        await end(*tasks)

    in_a_house(main)


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/incidents/search", "POST"), ("/api/incidents/search/batch", "POST"), ("/api/incidents/statistics", "GET")],
)
def test_all_heavy_work_is_looked_at(path, method):
    async def main(house):
        tasks = await house.overload()
        assert await house.status_of(path, method=method) == 503
        await end(*tasks)

    in_a_house(main)


@pytest.mark.parametrize(("wish", "level"), [(b"batch", "batch"), (b"urgent", "interactive"), (b"\xff", "interactive")])
def test_it_is_refused_as_what_it_says_that_it_is(wish, level):
    async def main(house):
        tasks = await house.overload()
        before = state(house.heavy).rejected[level]
        assert await house.status_of(x_priority=wish) == 503
        assert state(house.heavy).rejected[level] == before + 1
        await end(*tasks)

    in_a_house(main)


def test_a_body_that_was_answered_lately_passes_whatever_the_line_and_comes_whole():
    async def main(house):
        assert await house.status_of() == 200
        tasks = await house.overload()
        assert await house.status_of(REVIEW.replace("1", "2"), token=b"Bearer other") == 200
        assert house.bodies == [BODY, BODY]
        assert house.shed() == 0
        assert await house.status_of(body=BODY.replace(b"bot", b"box")) == 503
        assert house.shed() == 1
        await end(*tasks)

    in_a_house(main)


def test_what_was_answered_with_an_error_is_not_remembered():
    async def main(house):
        house.status = 503
        await house.ask()
        tasks = await house.overload()
        await house.ask()
        assert len(house.passed) == 1
        await end(*tasks)

    in_a_house(main)


def test_only_the_latest_answers_are_remembered(monkeypatch):
    monkeypatch.setattr(door, "REMEMBERED", 2)

    async def main(house):
        bodies = [BODY.replace(b"bot", b"bot %d" % number) for number in range(3)]
        for number in (0, 1, 0, 2):
            await house.ask(body=bodies[number])
        tasks = await house.overload()
        assert [await house.status_of(body=body) for body in bodies] == [200, 503, 200]
        await end(*tasks)

    in_a_house(main)


def test_a_body_that_is_too_large_is_told_so():
    async def main(house):
        await house.ask()
        tasks = await house.overload()
        status, body, _ = await house.ask(body=b"x" * (2 * 1024 * 1024))
        assert (status, json.loads(body)["code"]) == (413, "PAYLOAD_TOO_LARGE")
        await end(*tasks)

    in_a_house(main)


def test_who_has_had_his_share_gets_nothing_but_a_free_place_and_that_as_batch_work():
    async def main(house):
        tasks = await house.overload()
        await asyncio.sleep(0.25)  # nobody who waited does so any more
        assert house.line.overloaded
        assert [await house.status_of(SEARCH, token=token) for token in (b"modest", *[b"greedy"] * 4)] == [200] * 5
        running = await started(house.heavy.call(asyncio.sleep, 0.1))
        assert await house.status_of(SEARCH, token=b"greedy") == 503, "no place is free"
        assert await house.status_of(SEARCH, token=b"third") == 200, "he has had nothing"
        await running
        assert house.line.overloaded
        assert await house.status_of(SEARCH, token=b"greedy") == 200
        assert house.passed[-1][OVER_SHARE]
        assert not any(OVER_SHARE in each for each in house.passed[:-1])
        await end(*tasks)

    in_a_house(main)


def test_without_an_overload_nobody_has_had_his_share():
    async def main(house):
        running = [await started(house.heavy.call(asyncio.sleep, 1)) for _ in range(2)]
        statuses = [await house.status_of(SEARCH, token=token) for token in (b"modest", *[b"eager"] * 10)]
        assert statuses == [200] * 11
        assert not any(OVER_SHARE in each for each in house.passed)
        await end(*running)

    in_a_house(main)


def test_a_client_that_is_gone_before_it_is_refused_is_no_fault():
    async def main(house):
        tasks = await house.overload()

        async def gone(message):
            raise BrokenPipeError

        head = {"type": "http", "method": "POST", "path": SEARCH, "headers": [], "state": {"request_id": "id"}}
        await house.door(head, hang, gone)
        assert house.shed() == 1
        await end(*tasks)

    in_a_house(main)


def test_while_the_process_ends_it_is_not_the_door_that_answers():
    async def main(house):
        tasks = await house.overload()
        house.drain.begin()
        assert await house.status_of() == 200
        await end(*tasks)

    in_a_house(main)


def test_before_there_are_services_everything_passes():
    async def main(house):
        house.services = None
        assert await house.status_of() == 200

    in_a_house(main)
