"""Connections that lie, dawdle or do nothing, against the real server: nothing is held for long, all others are served."""

import json
import re
import resource
import socket
import time

import httpx2
import pytest

pytestmark = pytest.mark.e2e

IDLE = 10_000


@pytest.fixture(scope="module")
def server(shared_small):
    """A server that gives a head two seconds."""
    return shared_small(HEADER_TIMEOUT="2000").wait_until_ready()


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)


def told(server, *parts: bytes) -> bytes:
    """What a client gets that sends this, until the server closes the connection."""
    with connect(server) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            return b"".join(iter(lambda: connection.recv(65_536), b""))
        except ConnectionResetError:
            return b"reset"


def statuses(answer: bytes) -> list[int]:
    """Of the answers on one connection, in their order."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def well(server) -> bool:
    return httpx2.get(f"{server.url}/health", timeout=30).status_code == 200


GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_head_of_64_kib_is_told_in_the_one_shape(server):
    answer = told(server, GET + b"X-Padding: " + b"x" * 65_536 + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "HEADERS_TOO_LARGE"
    assert well(server)


@pytest.mark.parametrize("head", [b"X-Padding: " + b"x" * 1_000_000, b"".join(b"X-%d: y\r\n" % number for number in range(200))])
def test_a_head_beyond_all_measure_is_refused_by_the_server_itself(server, head):
    answer = told(server, GET + head + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b"reset"
    assert well(server)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET / HTTP/9.9\r\n\r\n",
        b"}{\r\n\r\n",
    ],
)
def test_garbage_behind_a_request_costs_its_own_connection_only(server, garbage):
    answer = told(server, GET + b"\r\n" + garbage)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 400 " in answer
    assert well(server)


def test_pipelined_requests_are_answered_in_their_order(server):
    answer = told(server, GET + b"\r\n" + GET.replace(b"/health", b"/nowhere") + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200, 404, 200]


@pytest.mark.parametrize(
    "lie",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        b"Content-Length: -5\r\n\r\n{}",
        b"Content-Length: 0x10\r\n\r\n{}",
        b"Content-Length: 18446744073709551616\r\n\r\n{}",
        b"Transfer-Encoding: gzip, identity\r\n\r\n{}",
    ],
)
def test_a_length_that_cannot_be_is_refused_and_the_connection_closed(server, lie):
    answer = told(server, POST + lie)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert well(server)


def test_what_is_longer_than_it_said_is_the_next_request_and_no_part_of_the_body(server):
    answer = told(server, POST + b"Content-Length: 2\r\n\r\n{}GARBAGE\r\n\r\n")
    assert statuses(answer) == [400, 400]
    assert b"VALIDATION_ERROR" in answer


def test_two_lengths_of_two_kinds_do_not_hide_a_request(server):
    """Both a length and chunks: the chunks count, and the connection is not used again."""
    smuggled = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = told(server, POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + smuggled)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"VALIDATION_ERROR" in answer


def test_a_body_in_broken_chunks_is_told_what_is_wrong_with_it(server):
    answer = told(server, POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\nZZ\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"broken_body" in answer


def test_a_body_that_breaks_off_harms_nobody(server):
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(POST + b"Content-Length: 100\r\n\r\n{")
    assert well(server)


@pytest.mark.parametrize("head", [b"", b"GET /hea", GET, GET + b"X-Drip: y"], ids=["nothing", "half a line", "half", "a drip"])
def test_a_head_that_does_not_come_is_given_its_time_and_no_more(server, head):
    began = time.monotonic()
    with connect(server) as connection:
        connection.sendall(head)
        connection.settimeout(0.3)
        while True:  # a byte now and then buys no time
            try:
                if connection.recv(100) == b"":
                    break
            except TimeoutError:
                if head:
                    connection.sendall(b"z")
            except ConnectionResetError:
                break
            assert time.monotonic() - began < 30, "it is held for as long as somebody drips"
    assert well(server)


def test_an_idle_connection_is_closed_after_a_while(server):
    answer = told(server, GET + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 1


@pytest.mark.parametrize("wish", [b"-1", b"0", b"9" * 400, b"1e3", b""])
def test_a_wish_for_time_that_is_none_is_told(server, wish):
    head = b"GET /api/review HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Timeout-Ms: " + wish
    answer = told(server, head + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"X-Request-Timeout-Ms" in answer


@pytest.mark.parametrize("forged", [b"a\n2026 level=error forged", b"a\r\n\tforged", b"a%0aforged", b"a\x00forged", b"a\rforged"])
def test_a_request_id_forges_no_line_of_the_log_and_no_header(server, forged):
    answer = told(server, b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: " + forged + b"\r\n\r\n")
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 404 "))
    assert b"forged" not in answer
    assert well(server)
    assert "forged" not in server.errors


def test_ten_thousand_idle_connections_do_not_keep_anybody_else_out(shared_small):
    server = shared_small(HEADER_TIMEOUT="600000").wait_until_ready()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    due = IDLE + 1000
    if hard != resource.RLIM_INFINITY and hard < due:
        pytest.skip(f"a process here may have {hard} files; {due} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, due), hard))
    held = []
    try:
        for number in range(IDLE):
            connection = connect(server)
            held.append(connection)
            if number % 3 == 0:
                connection.sendall(GET)  # half a head
        answers = [httpx2.get(f"{server.url}{path}", timeout=30).status_code for path in ("/health", "/health/ready", "/docs") * 5]
        assert set(answers) == {200}
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert well(server)
    assert server.process.poll() is None
