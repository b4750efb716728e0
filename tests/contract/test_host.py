"""The workers of one server, to each other: over real sockets, in processes that are frozen and killed."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import cached_property

import pytest

from sengol_api.observability import host_directory as module
from sengol_api.observability.host import Answer, Host
from sengol_api.observability.host_directory import host_directory


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    with host_directory() as made:
        yield made


WORKER = """
import asyncio, os, sys
from pathlib import Path
from sengol_api.observability.host import Host

async def main():
    host = Host(Path(sys.argv[1]))
    host.offer("number", lambda argument: {"number": int(sys.argv[2]), "argument": argument})
    host.keep("count", int(sys.argv[2]))
    async with host.open():
        print(host.place, flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


class Worker:
    """A worker in a process of its own; it ends with its standard input."""

    def __init__(self, directory, number):
        command = [sys.executable, "-c", WORKER, str(directory), str(number)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @cached_property
    def place(self):
        return int(self.process.stdout.readline())

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def workers(directory):
    started = []

    def start(number):
        started.append(Worker(directory, number))
        assert started[-1].place
        return started[-1]

    yield start
    for each in started:
        each.end()


@asynccontextmanager
async def opened(directory, *hosts):
    made = [Host(directory) for _ in range(hosts[0])]
    try:
        async with made[0].open():
            yield made
    finally:
        for each in made:
            each.close()


def states(answers):
    return {answer.place: answer.state for answer in answers}


async def test_one_can_ask_all_and_itself(directory, workers):
    for number in (7, 8):
        workers(number)
    host = Host(directory)
    host.offer("number", lambda argument: {"number": 9, "argument": argument})
    try:
        answers = await host.ask("number", {"x": [1]}, seconds=10)
    finally:
        host.close()
    assert [(answer.place, answer.state, answer.document["number"]) for answer in answers] == [
        (1, "answered", 7),
        (2, "answered", 8),
        (3, "answered", 9),
    ]
    assert {json.dumps(answer.document["argument"]) for answer in answers} == {'{"x": [1]}'}


async def test_a_frozen_worker_is_silent_and_holds_nobody(directory, workers):
    frozen = workers(7)
    host = Host(directory)
    frozen.send(signal.SIGSTOP)
    try:
        for _ in range(150):  # more than its backlog holds
            answers = await host.ask("number", seconds=0.02)
            assert states(answers)[frozen.place] == "silent"
        assert host.kept("count") == {frozen.place: 7}
        frozen.send(signal.SIGCONT)
        async with asyncio.timeout(20):
            while states(await host.ask("number", seconds=5))[frozen.place] != "answered":
                pass
    finally:
        host.close()


async def test_a_killed_worker_is_gone_and_what_it_kept_is_there_for_who_takes_its_place(directory, workers):
    killed = workers(7)
    host = Host(directory)
    try:
        killed.end()
        assert states(await host.ask("number")) == {1: "gone", 2: "failed"}
        assert host.kept("count") == {1: 7}
        successor = Host(directory)
        assert (successor.place, successor.inherited("count")) == (1, 7)
        successor.keep("count", 8)
        assert host.kept("count") == {1: 8}
        async with successor.open():  # the socket of the one before is in the way
            successor.offer("number", lambda _: "new")
            assert (await host.ask("number", seconds=10))[0] == Answer(1, "answered", "new")
        successor.close()
    finally:
        host.close()


async def test_places_are_taken_once_and_the_lowest_first(directory):
    with ExitStack() as stack:
        hosts = [Host(directory) for _ in range(4)]
        for each in hosts:
            stack.callback(each.close)
        assert [each.place for each in hosts] == [1, 2, 3, 4]
        hosts[1].close()
        again = Host(directory)
        stack.callback(again.close)
        assert again.place == 2


def test_many_that_start_at_once_have_places_of_their_own(directory):
    started = [Worker(directory, number) for number in range(6)]
    assert sorted(each.place for each in started) == [1, 2, 3, 4, 5, 6]
    for each in started:
        each.end()


async def test_a_question_that_fails_is_logged_and_told_apart_from_silence(directory, caplog):
    async with opened(directory, 2) as (one, other):
        one.offer("broken", lambda _: 1 / 0)

        async def slow(_):
            await asyncio.sleep(30)

        one.offer("slow", slow)
        assert states(await other.ask("broken", seconds=10))[one.place] == "failed"
        assert "could not be answered" in caplog.text
        assert states(await other.ask("slow", seconds=0.05))[one.place] == "silent"
        assert states(await other.ask("nothing", seconds=10)) == {1: "failed", 2: "failed"}
        assert states(await one.ask("slow", seconds=0.05))[one.place] == "silent"  # itself


async def test_an_answer_may_be_long_and_a_coroutine(directory):
    async def give(_):
        return ["x" * 1000] * 3000

    async with opened(directory, 2) as (one, other):
        one.offer("long", give)
        (answer, _) = await other.ask("long", seconds=20)
        assert len(answer.document) == 3000


@pytest.mark.parametrize(
    "question",
    [b"", b"\n", b"{}\n", b"nonsense\n", b"\xff\xfe\n", b"[1]\n", b'{"topic": 1}\n', b'{"topic": "x"}\n', b"x" * 200_000],
)
async def test_nonsense_from_a_socket_is_no_question_and_does_no_harm(directory, question):
    async with opened(directory, 2) as (one, other):
        reader, writer = await asyncio.open_unix_connection(directory / "1.sock")
        writer.write(question)
        writer.write_eof()
        async with asyncio.timeout(10):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
        one.offer("number", lambda _: 1)
        assert (await other.ask("number", seconds=10))[0].document == 1


@pytest.mark.parametrize("answer", [b"", b"nonsense", b"[]", b"{}", b'{"failed": false}'])
async def test_an_answer_that_is_none_is_silence(directory, answer):
    async with opened(directory, 2) as (_, other):
        (directory / "1.sock").unlink()

        async def serve(_reader, writer):
            writer.write(answer)
            writer.close()

        server = await asyncio.start_unix_server(serve, directory / "1.sock")
        assert states(await other.ask("number", seconds=10))[1] == "silent"
        server.close()


async def test_two_ask_each_other_at_the_same_time(directory):
    async with opened(directory, 2) as (one, other):
        async with other.open():
            for each in (one, other):
                each.offer("place", lambda _, each=each: each.place)
            answers = await asyncio.gather(*(each.ask("place", seconds=20) for each in (one, other) * 20))
        assert all([answer.document for answer in told] == [1, 2] for told in answers)


async def test_who_asks_and_is_cancelled_leaves_nothing_behind(directory):
    async with opened(directory, 2) as (one, other):

        async def slow(_):
            await asyncio.sleep(30)

        one.offer("slow", slow)
        asking = asyncio.create_task(other.ask("slow", seconds=30))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert {task.get_coro().__qualname__ for task in asyncio.all_tasks() - {asyncio.current_task()}} <= {"Host._serve"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_worker_by_itself_answers_itself():
    host = Host(None)
    host.offer("number", lambda argument: argument)
    host.keep("count", 1)
    async with host.open():
        assert await host.ask("number", 5) == [Answer(1, "answered", 5)]
    assert (host.alone, host.kept("count"), host.inherited("count")) == (True, {}, None)
    host.close()


def test_a_full_disk_keeps_what_was_kept_before_and_is_told_once(directory, caplog, monkeypatch):
    host = Host(directory)
    host.keep("count", 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    for number in (2, 3):
        host.keep("count", number)
    assert host.inherited("count") == 1
    assert caplog.text.count("cannot keep") == 1
    host.close()


def test_half_a_file_is_no_document(directory):
    host = Host(directory)
    (directory / "1.count.json").write_bytes(b'{"x": ')
    assert host.inherited("count") is None
    assert host.kept("count") == {}
    host.close()


async def test_a_directory_that_vanished_breaks_nothing(directory):
    host = Host(directory)
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    host.keep("count", 1)
    host.offer("number", lambda _: 1)
    async with host.open():
        assert await host.ask("number") == [Answer(1, "answered", 1)]
    host.close()
    assert Host(directory).alone
    directory.mkdir()


# --- the directory


def test_the_directory_is_for_its_owner_only_and_goes_with_the_server(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    with host_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        Host(directory).keep("count", 1)
    assert not directory.exists()


@contextmanager
def short(tmp_path):
    """A short way to a folder of the test: a socket's path has little room."""
    link = module.Path(f"/tmp/so-{os.getpid()}")
    link.symlink_to(tmp_path)
    try:
        yield link
    finally:
        link.unlink()


def test_what_a_killed_server_left_is_removed_by_the_next_and_what_is_in_use_is_not(tmp_path, monkeypatch):
    with short(tmp_path) as parent:
        monkeypatch.setattr("tempfile.tempdir", str(parent))
        stale, young, foreign = (parent / f"{prefix}x" for prefix in ("sengol-api-stale", "sengol-api-young", "other"))
        for each in (stale, young, foreign):
            each.mkdir()
            (each / "1.lock").touch()
        with host_directory() as used:
            host = Host(used)
            for each in (stale, foreign, used):
                os.utime(each, (0, 0))
            with host_directory() as second:
                assert not stale.exists()
                assert all(each.exists() for each in (young, foreign, used, second))
            host.close()


def test_a_directory_whose_parent_was_killed_is_in_use_while_a_worker_lives(tmp_path, monkeypatch):
    with short(tmp_path) as parent:
        monkeypatch.setattr("tempfile.tempdir", str(parent))
        orphaned = parent / "sengol-api-orphaned"
        orphaned.mkdir()
        host = Host(orphaned)
        os.utime(orphaned, (0, 0))
        with host_directory():
            assert orphaned.exists()
        host.close()
        os.utime(orphaned, (0, 0))
        with host_directory():
            assert not orphaned.exists()


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path, monkeypatch):
    with short(tmp_path) as parent:
        monkeypatch.setattr("tempfile.tempdir", str(parent))
        treasure = parent / "treasure"
        treasure.mkdir()
        os.utime(treasure, (0, 0))
        link = parent / "sengol-api-link"
        link.symlink_to(treasure)
        os.utime(link, (0, 0), follow_symlinks=False)
        with host_directory():
            assert treasure.exists()


def test_where_temporary_files_cannot_be_another_folder_does(tmp_path, monkeypatch):
    with short(tmp_path) as parent:
        monkeypatch.setattr("tempfile.tempdir", str(parent / "nowhere"))
        with host_directory(parent) as directory:
            assert directory.parent == parent
        deep = parent / ("x" * 100)
        deep.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(deep))
        with host_directory(parent) as directory:
            assert directory.parent == parent
        assert list(deep.iterdir()) == []
        with host_directory() as directory:
            assert directory is None
            assert Host(directory).alone


def test_a_socket_fits_where_the_directory_does(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/tmp")
    with host_directory() as directory, socket.socket(socket.AF_UNIX) as server:
        path = str(directory / "64.sock")
        assert len(path) <= module._LONGEST_PATH + len("/64.sock") < 108
        server.bind(path)
