"""The real server with two workers: metrics of both, logs in one shape, nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.process import environment
from support.service_process import free_ports

pytestmark = pytest.mark.e2e


def scraped(server):
    """Values by the name of the sample and its labels."""
    page = httpx2.get(f"{server.url}/metrics", timeout=30).text
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def wait_for(server, *, workers, without=0):
    """Until so many workers answer, and a certain process is none of them."""
    end = time.monotonic() + 90
    while True:
        try:
            answered = scraped(server)["sengol_workers", ("answered",)]
            if answered == workers and not Path(f"/proc/{without}").exists():
                return
        except httpx2.HTTPError:  # it was killed while it answered
            pass
        assert time.monotonic() < end, f"not {workers} workers: {server.errors}"
        time.sleep(0.1)


def shared_directories():
    return set(Path("/tmp").glob("sengol-api-*"))


def test_whichever_worker_is_asked_it_speaks_for_both_and_all_that_is_logged_has_one_shape(start):
    before = shared_directories()
    server = start("--workers", "2", LOG_LEVEL="debug", LOG_FORMAT="json", TMPDIR="/tmp").wait_until_ready()
    wait_for(server, workers=2)
    for _ in range(40):  # connections of their own, so that both workers get some
        assert httpx2.get(f"{server.url}/nowhere", timeout=30).status_code == 404
    for _ in range(6):
        found = scraped(server)
        assert found["sengol_http_requests_total", ("GET", "(none)", "4xx")] == 40
        assert found["sengol_http_errors_total", ("NOT_FOUND",)] == 40
    assert found["sengol_event_loop_lag_seconds_count", ()] > 0
    one_of_them = server.workers[0]
    os.kill(one_of_them, signal.SIGKILL)
    wait_for(server, workers=2, without=one_of_them)
    assert scraped(server)["sengol_http_requests_total", ("GET", "(none)", "4xx")] == 40
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    lines = [json.loads(line) for line in server.errors.splitlines()]
    assert all({"time", "level", "logger", "message", "pid"} <= told.keys() for told in lines)
    pids = {told["pid"] for told in lines if told["message"] == "request"}
    assert len(pids) >= 2
    (died,) = [told for told in lines if told["logger"] == "_granian"]
    assert (died["level"], died["message"].startswith("Unexpected exit from worker-"), died["pid"]) == (
        "error",
        True,
        server.process.pid,
    )
    assert b"[INFO]" not in server.said  # the HTTP server has a way of its own
    assert shared_directories() <= before


def test_the_first_start_tells_of_the_corpus_that_it_loads_in_lines_like_all_others(first_start):
    loaded = [line for line in map(json.loads, first_start.errors.splitlines()) if line["message"] == "loaded"]
    assert {line["what"] for line in loaded} == {"genai-incidents", "sengol"}
    assert all(line["total"] > 0 for line in loaded)


def test_a_server_without_a_standard_error_serves(data_dir):
    (port,) = free_ports(1)
    script = 'exec "$0" -m sengol_api serve --port "$1" --data-dir "$2" 2>&- >&-'
    command = ["sh", "-c", script, sys.executable, str(port), str(data_dir)]
    process = subprocess.Popen(command, env=environment(LOG_LEVEL="debug"), start_new_session=True)
    try:
        end = time.monotonic() + 120
        while True:
            try:
                assert httpx2.get(f"http://127.0.0.1:{port}/nowhere", timeout=5).status_code == 404
                break
            except httpx2.HTTPError:
                assert time.monotonic() < end
                assert process.poll() is None
                time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
