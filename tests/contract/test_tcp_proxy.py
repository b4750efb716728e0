"""The proxy that comes between a client and a server, before one that sends back what it gets."""

import asyncio
import socket

import pytest

from support.loop_thread import LoopThread
from support.tcp_proxy import tcp_proxy


@pytest.fixture
def echo():
    """The port of a server that sends back what it gets."""

    async def answer(reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    thread = LoopThread("echo")
    try:
        server = thread.run(asyncio.start_server(answer, "127.0.0.1", 0))
        yield server.sockets[0].getsockname()[1]
        thread.call(server.close)
    finally:
        thread.close()


@pytest.fixture
def proxy(echo):
    """Before the echo."""
    with tcp_proxy(echo) as proxy:
        yield proxy


@pytest.fixture
def connect(proxy):
    """Opens connections through it; all are closed afterwards."""
    opened = []

    def begin(patience=10.0):
        opened.append(socket.create_connection(("127.0.0.1", proxy.port), timeout=patience))
        return opened[-1]

    yield begin
    for line in opened:
        line.close()


def said_back(line, text: bytes) -> bytes:
    """Send, and read as much again, or what comes before the end."""
    line.sendall(text)
    return received(line, len(text))


def received(line, length: int) -> bytes:
    data = b""
    while len(data) < length and (more := line.recv(length - len(data))):
        data += more
    return data


def touch(port: int) -> None:
    """Connect and wait for a byte: a reset may meet the one or the other."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.recv(1)


def nothing_comes(line, patience=0.1) -> bool:
    """Whether the client's patience ends before anything comes."""
    line.settimeout(patience)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    else:
        return False
    finally:
        line.settimeout(10)


def test_everything_passes_until_told_otherwise(proxy, connect):
    text = bytes(range(256)) * 4096
    first, second = connect(), connect()
    first.sendall(b"first")
    assert said_back(second, b"second") == b"second"
    assert received(first, 5) == b"first"
    assert (proxy.accepted, proxy.open) == (2, 2)
    back = b"".join(said_back(first, text[at : at + 32_768]) for at in range(0, len(text), 32_768))
    assert back == text
    assert proxy.passed["to_server"] == proxy.passed["to_client"] == len(text) + 11


def test_the_end_passes_too(connect):
    line = connect()
    line.sendall(b"last words")
    line.shutdown(socket.SHUT_WR)
    assert received(line, 100) == b"last words"


def test_refusing_is_as_a_dead_server_and_the_port_is_kept(proxy, connect):
    line = connect()
    assert said_back(line, b"x") == b"x"
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        line.recv(1)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            connect()
    proxy.pass_on()
    assert said_back(connect(), b"again") == b"again"


def test_hanging_accepts_and_says_nothing(proxy, connect):
    before = connect()
    assert said_back(before, b"x") == b"x"
    proxy.hang()
    line = connect()
    for each in (before, line):
        each.sendall(b"hello")
        assert nothing_comes(each)
    proxy.pass_on()
    assert received(line, 5) == received(before, 5) == b"hello"


def test_a_frozen_direction_goes_on_when_told(proxy, connect):
    line = connect()
    proxy.freeze("to_client")
    line.sendall(b"hello")
    assert nothing_comes(line)
    assert proxy.passed == {"to_server": 5}
    proxy.pass_on()
    assert received(line, 5) == b"hello"


def test_a_frozen_end_is_no_end(proxy, connect):
    line = connect()
    assert said_back(line, b"x") == b"x"
    proxy.freeze()
    line.shutdown(socket.SHUT_WR)
    assert nothing_comes(line)
    proxy.pass_on()
    assert line.recv(1) == b""


def test_dripping_lets_a_few_bytes_go_on_at_a_time(proxy, connect):
    line = connect()
    proxy.drip(3600, "to_client", size=2)
    line.sendall(b"hello")
    assert received(line, 2) == b"he"
    assert nothing_comes(line)
    proxy.drip(0.001, "to_client")
    assert received(line, 3) == b"llo"


def test_a_delay_only_delays(proxy, connect):
    proxy.delay(3600, "to_client")
    line = connect()
    line.sendall(b"hello")
    assert nothing_comes(line)
    proxy.delay(0.001, "to_client")
    assert received(line, 5) == b"hello"


def test_a_connection_is_cut_after_so_many_bytes(proxy, connect):
    proxy.cut(3, "to_client")
    line = connect()
    assert said_back(line, b"hello") == b"hel"
    assert line.recv(1) == b""
    assert said_back(connect(), b"abc") == b"abc"
    proxy.pass_on()
    assert said_back(connect(), b"hello") == b"hello"


def test_a_cut_towards_the_server_keeps_the_rest_from_it(proxy, connect):
    proxy.cut(3, "to_server")
    line = connect()
    line.sendall(b"hello")
    assert received(line, 5) in {b"", b"hel"}
    assert proxy.passed["to_server"] == 3


def test_a_cut_can_be_a_reset(proxy, connect):
    proxy.cut(0, "to_client", reset=True)
    line = connect()
    line.sendall(b"hello")
    with pytest.raises(ConnectionResetError):
        line.recv(1)


def test_resetting_breaks_open_connections_and_new_ones(proxy, connect):
    line = connect()
    assert said_back(line, b"x") == b"x"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        line.recv(1)
    with pytest.raises(ConnectionResetError):
        touch(proxy.port)
    proxy.pass_on()
    assert said_back(connect(), b"again") == b"again"


def test_open_connections_alone_can_be_reset(proxy, connect):
    line = connect()
    assert said_back(line, b"x") == b"x"
    proxy.reset_open()
    with pytest.raises(ConnectionResetError):
        line.recv(1)
    assert said_back(connect(), b"again") == b"again"


def test_a_server_that_is_not_there_resets():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with tcp_proxy(nobody.getsockname()[1]) as vain, pytest.raises(ConnectionResetError):
            touch(vain.port)
