"""The process of the real d-vecDB: what its command line does, how tests freeze and kill it, and that nothing of it is left."""

import os
import socket

import httpx2
import pytest

from support.dvecdb.real import DvecdbServer, dvecdb_server
from support.service_process import DidNotStartError

pytestmark = pytest.mark.dvecdb


@pytest.fixture
def server(tmp_path):
    """One of the test's own."""
    with dvecdb_server(tmp_path) as server:
        yield server


def test_a_port_that_is_taken_ends_it_as_if_all_were_well(server, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        late = DvecdbServer(tmp_path / "other", port=taken.getsockname()[1])
        (tmp_path / "other").mkdir()
        with pytest.raises(DidNotStartError):
            late.start()
        assert late.exit_code == 0


def test_its_host_must_be_an_address(server, tmp_path):
    (tmp_path / "other").mkdir()
    named = DvecdbServer(tmp_path / "other", host="localhost")
    with pytest.raises(DidNotStartError):
        named.start()


@pytest.mark.parametrize(("level", "told"), [("info", True), ("error", False)])
def test_with_the_level_info_it_writes_every_vector_of_a_batch_to_its_log(server, tmp_path, level, told):
    (tmp_path / "other").mkdir()
    chatty = DvecdbServer(tmp_path / "other", log_level=level)
    try:
        chatty.start()
        made = {"name": "c", "dimension": 3, "distance_metric": "Cosine", "vector_type": "Float32"}
        httpx2.post(f"{chatty.url}/collections", json=made)
        httpx2.post(f"{chatty.url}/collections/c/vectors/batch", json={"vectors": [{"data": [0.123456, 0, 0]}]})
    finally:
        chatty.kill()
    assert ("0.123456" in chatty.output) is told


def test_frozen_it_says_nothing_and_goes_on_when_thawed(server):
    server.freeze()
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{server.url}/health", timeout=httpx2.Timeout(10, read=0.1))
    server.thaw()
    assert server.is_healthy()


def test_killed_it_refuses_and_restarted_it_serves_on_the_same_port(server):
    url, pid = server.url, server.pid
    server.kill()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health")
    server.start()
    assert server.pid != pid
    assert httpx2.get(f"{url}/health").json()["success"]


@pytest.mark.parametrize("frozen", [False, True])
def test_it_stops_when_asked_also_when_it_was_frozen(server, frozen):
    pid = server.pid
    if frozen:
        server.freeze()
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("due", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_where_it_cannot_run_tests_skip_but_fail_where_it_is_due(tmp_path, monkeypatch, due, outcome):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("REQUIRE_DVECDB", raising=False)
    if due:
        monkeypatch.setenv("REQUIRE_DVECDB", "1")
    monkeypatch.setattr("support.dvecdb.real.platform.machine", lambda: "riscv64")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(outcome, match=r"this is riscv64.*apt-get install qemu-user"), dvecdb_server(tmp_path):
        pytest.fail("there is none")
