"""Real processes that are told to stop, and those that are not asked."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx2
import pytest

from support.otlp import Collector
from support.small_service import SLOW_START
from support.wire import events

pytestmark = pytest.mark.e2e

SHORT = {"SHUTDOWN_TIMEOUT": "1000"}


def ask(client, description, **headers):
    """The main job, of which the first words of the description decide what it does."""
    review = client.post("/api/review", json={}).json()["data"]["id"]
    path = f"/api/review/{review}/generate-questions"
    return client.post(path, json={"systemDescription": description}, headers=headers)


class Asking(threading.Thread):
    """The main job, asked for in a thread; under way when ``begin`` returns."""

    def __init__(self, server, client, description, **headers) -> None:
        super().__init__()
        self._server, self._client, self._description, self._headers = server, client, description, headers
        self.answer: httpx2.Response | Exception | None = None

    def run(self) -> None:
        try:
            self.answer = ask(self._client, self._description, **self._headers)
        except httpx2.HTTPError as error:
            self.answer = error

    def begin(self) -> "Asking":
        before = self._in_flight()
        self.start()
        until(lambda: self._in_flight() > before)
        return self

    def _in_flight(self) -> int:
        return httpx2.get(f"{self._server.url}/health/detailed", timeout=20).json()["inFlight"]

    def end(self):
        self.join(60)
        assert not self.is_alive()
        return self.answer


def until(true, seconds=20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.02)


def alive(pid) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def refused(url) -> bool:
    try:
        httpx2.get(f"{url}/health", timeout=5)
    except httpx2.ConnectError:
        return True
    except httpx2.HTTPError:
        return False
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_load_loses_no_request(small, workers, stop):
    """The senders do as a load balancer does: they ask for readiness, and send nothing more to whoever is not ready."""
    server = small("--workers", workers, SHUTDOWN_DRAIN_DELAY="3000").wait_until_ready()
    with server.log_in() as first:
        token = first.headers["Authorization"]
    answers, lost, not_ready = [], [], threading.Event()

    def send(number):
        with server.client(Authorization=token) as client:
            for turn in range(10_000):
                if not_ready.is_set():
                    return
                try:
                    answers.append(ask(client, f"slow 0.05 seconds, {number}-{turn}").status_code)
                except (httpx2.HTTPError, KeyError) as error:
                    lost.append(repr(error))

    senders = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for sender in senders:
        sender.start()
    try:
        until(lambda: len(answers) > 50)
        server.process.send_signal(stop)
        until(lambda: httpx2.get(f"{server.url}/health/ready", timeout=20).status_code == 503)
    finally:
        not_ready.set()
        for sender in senders:
            sender.join(60)
    assert lost == []
    assert set(answers) == {200}
    assert server.process.wait(30) == 0


def test_it_is_not_ready_at_once_and_takes_new_connections_until_the_delay_is_over(small):
    server = small(SHUTDOWN_DRAIN_DELAY="1500").wait_until_ready()
    with server.log_in() as client:
        assert client.get("/health/ready").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: httpx2.get(f"{server.url}/health/ready").status_code == 503)
        assert httpx2.get(f"{server.url}/health/live").status_code == 200
        answer = ask(client, "a plain description of a system")
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    until(lambda: refused(server.url))
    assert server.process.wait(30) == 0


def test_a_request_that_never_ends_is_told_where_to_go_and_the_process_ends_well(small):
    server = small(**SHORT).wait_until_ready()
    with server.log_in() as client:
        asking = Asking(server, client, "never ends, whatever happens").begin()
        server.process.send_signal(signal.SIGTERM)
        answer = asking.end()
    body = answer.json()
    assert (answer.status_code, body["code"], body["metadata"]) == (503, "SHUTTING_DOWN", {"retryAfter": 1})
    assert answer.headers["retry-after"] == "1"
    assert body["requestId"] == answer.headers["x-request-id"]
    assert server.process.wait(30) == 0
    assert "time is over for requests in flight" in server.errors


def test_a_stream_of_events_is_told_by_an_event(small):
    server = small(**SHORT).wait_until_ready()
    with server.log_in() as client:
        asking = Asking(server, client, "never ends, whatever happens", Accept="text/event-stream").begin()
        server.process.send_signal(signal.SIGTERM)
        told = events(asking.end().content)
    assert [name for name, _ in told] == ["progress", "error"]
    assert told[-1][1]["code"] == "SHUTTING_DOWN"
    assert server.process.wait(30) == 0


def test_a_body_that_never_comes_does_not_hold_up_the_end(small):
    server = small(**SHORT).wait_until_ready()
    with server.log_in() as client:
        token = client.headers["Authorization"]
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30) as slow:
        head = "POST /api/review HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
        slow.sendall(f"{head}Authorization: {token}\r\n\r\n{{".encode())
        until(lambda: httpx2.get(f"{server.url}/health/detailed").json()["inFlight"] > 1)
        server.process.send_signal(signal.SIGTERM)
        told = b"".join(iter(lambda: slow.recv(65536), b""))
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"SHUTTING_DOWN" in told
    assert server.process.wait(30) == 0


def assert_ends_without(server, client) -> None:
    """The process ends in order, although a request hears of nothing; that one gets no answer."""
    asking = Asking(server, client, "deaf to whatever happens").begin()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert isinstance(asking.end(), httpx2.HTTPError)


def test_neither_work_that_hears_nothing_nor_half_a_head_keeps_the_process(small):
    server = small(**SHORT, HEADER_TIMEOUT="600000").wait_until_ready()
    with server.log_in() as client, socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as half:
        half.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        assert_ends_without(server, client)
    assert "something does not close and is left behind" in server.errors


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


def traced(collector):
    """Traces that nobody sends before the end."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}


def spans_of(collector, name):
    return [span for span in collector.wait_for(1) if span.name == name]


def test_the_spans_of_the_last_requests_are_sent_before_the_end(small, collector):
    server = small(**traced(collector)).wait_until_ready()
    for _ in range(3):
        assert httpx2.get(f"{server.url}/openapi.json", timeout=20).status_code == 200
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    assert len(spans_of(collector, "GET /openapi.json")) == 3


def test_they_are_sent_even_when_something_does_not_close_and_is_left_behind(small, collector):
    server = small(**traced(collector), **SHORT).wait_until_ready()
    with server.log_in() as client:
        assert_ends_without(server, client)
    assert "something does not close and is left behind" in server.errors
    assert len(spans_of(collector, "POST /api/auth/register")) == 1


def test_a_collector_that_is_stuck_does_not_hold_up_the_end(small, collector):
    collector.stuck = True
    server = small(**traced(collector), **SHORT).wait_until_ready()
    with server.log_in() as client:
        assert_ends_without(server, client)
    collector.wait_for_request()


def test_a_second_signal_ends_all_at_once(small):
    server = small("--workers", "2").wait_until_ready()
    with server.log_in() as client:
        asking = Asking(server, client, "slow 60 seconds").begin()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.errors)
        time.sleep(0.4)  # within 0.3 s of the first it would count as the same
        workers = server.workers
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 128 + signal.SIGTERM
        assert isinstance(asking.end(), httpx2.HTTPError)
    until(lambda: not any(map(alive, workers)))
    assert "a second signal: ending at once" in server.errors


def test_a_signal_that_comes_twice_and_to_everybody_is_one_wish(small):
    """GNU timeout sends it twice, a terminal and some supervisors to every process of the group."""
    server = small("--workers", "2").wait_until_ready()
    with server.log_in() as client:
        asking = Asking(server, client, "slow 2 seconds").begin()
        for _ in range(2):
            os.killpg(server.process.pid, signal.SIGTERM)
        assert asking.end().status_code == 200
    assert server.process.wait(30) == 0


def test_ctrl_c_in_a_terminal_lets_what_is_in_flight_finish(small):
    server = small(SHUTDOWN_DRAIN_DELAY="60000").wait_until_ready()
    with server.log_in() as client:
        asking = Asking(server, client, "slow 2 seconds").begin()
        os.killpg(server.process.pid, signal.SIGINT)
        assert asking.end().status_code == 200
    assert server.process.wait(30) == 0


def test_a_worker_that_is_killed_is_replaced_while_the_other_serves(small):
    server = small("--workers", "2").wait_until_ready()
    until(lambda: len(server.workers) == 2)
    with server.log_in() as client:
        review = client.post("/api/review", json={}).json()["data"]["id"]
        token = client.headers["Authorization"]
    killed = server.workers[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in server.workers and len(server.workers) == 2)
    with server.client(Authorization=token) as client:  # what was acknowledged is there
        until(lambda: _status(client, f"/api/review/{review}") == 200)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_a_worker_that_is_told_to_stop_while_it_still_starts_does_not_hold_up_the_end(small):
    server = small("--workers", "2").wait_until_ready()
    until(lambda: len(server.workers) == 2)
    (server.data_dir / SLOW_START).touch()
    killed = server.workers[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in server.workers and len(server.workers) == 2)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def _status(client, path) -> int:
    try:
        return client.get(path).status_code
    except httpx2.HTTPError:
        return 0


def test_a_worker_told_to_stop_finishes_its_requests_and_is_replaced(small):
    server = small().wait_until_ready()
    (worker,) = server.workers
    with server.log_in() as client:
        asking = Asking(server, client, "slow 2 seconds").begin()
        os.kill(worker, signal.SIGTERM)
        assert asking.end().status_code == 200
    until(lambda: server.workers and worker not in server.workers)
    until(lambda: not refused(server.url))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_workers_whose_parent_was_killed_finish_and_free_the_port(small):
    server = small("--workers", "2").wait_until_ready()
    workers = server.workers
    with server.log_in() as client:
        asking = Asking(server, client, "slow 2 seconds").begin()
        os.kill(server.process.pid, signal.SIGKILL)
        assert asking.end().status_code == 200
    until(lambda: not any(map(alive, workers)))
    assert refused(server.url)


# --- another server


@pytest.fixture
def under_uvicorn(tmp_path):
    """The small service under uvicorn, started by its own command."""
    from pathlib import Path

    from support.process import environment
    from support.service_process import free_ports

    started = []

    def begin(**settings):
        (port,) = free_ports(1)
        (tmp_path / "data").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "uvicorn", "support.small_service:application", "--factory", "--port", str(port)]
        variables = environment(DATA_DIR=str(tmp_path / "data"), PYTHONPATH=str(Path(__file__).parents[1]), **settings)
        log = (tmp_path / "uvicorn.log").open("w+")
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
        started.append((process, log))
        url = f"http://127.0.0.1:{port}"
        until(lambda: not refused(url), 60)
        return process, url

    yield begin
    for process, log in started:
        process.kill()
        process.wait()
        log.close()


def test_uvicorn_drains_in_the_same_way(under_uvicorn):
    process, url = under_uvicorn(SHUTDOWN_DRAIN_DELAY="1500", **SHORT)
    account = {"email": "reviewer@example.com", "password": "a long passphrase"}
    token = httpx2.post(f"{url}/api/auth/register", json=account, timeout=20).json()["data"]["token"]
    with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        served = type("Served", (), {"url": url})
        asking = Asking(served, client, "never ends, whatever happens").begin()
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx2.get(f"{url}/health/ready").status_code == 503)
        assert httpx2.get(f"{url}/health").headers["connection"] == "close"
        answer = asking.end()
    assert (answer.status_code, answer.json()["code"]) == (503, "SHUTTING_DOWN")
    assert process.wait(30) == 0


def test_a_second_signal_ends_uvicorn_at_once(under_uvicorn):
    process, url = under_uvicorn(SHUTDOWN_DRAIN_DELAY="60000")
    process.send_signal(signal.SIGTERM)
    until(lambda: httpx2.get(f"{url}/health/ready").status_code == 503)
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
