"""A real process whose event loop is blocked: the liveness probe fails, and of several workers the stuck one is replaced."""

import signal
import threading
import time
from contextlib import suppress

import httpx2
import pytest

pytestmark = pytest.mark.e2e


def block(server, seconds) -> threading.Thread:
    """Hold the event loop of one worker, from the moment that its work begins."""
    client = server.log_in()
    review = client.post("/api/review", json={}).json()["data"]["id"]
    body = {"systemDescription": f"block {seconds} seconds of the loop"}

    def ask():
        with suppress(httpx2.HTTPError):
            client.post(f"/api/review/{review}/generate-questions", json=body)
        client.close()

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def live(server, timeout=0.5) -> bool:
    """What the kubelet sees, on a connection of its own."""
    try:
        return httpx2.get(f"{server.url}/health/live", timeout=timeout).status_code == 200
    except httpx2.HTTPError:
        return False


def eventually(true, seconds=30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_while_the_loop_is_blocked_the_liveness_probe_fails_and_afterwards_it_is_well(small):
    server = small().wait_until_ready()
    assert live(server, timeout=20)
    blocking = block(server, 6)
    assert eventually(lambda: not live(server))
    blocking.join()
    assert eventually(lambda: live(server))
    assert server.workers
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_a_worker_whose_loop_stays_blocked_is_ended_with_its_stack_in_the_log_and_replaced(small):
    """With two workers behind one port a probe meets the stuck one only now and then."""
    server = small("--workers", "2", SMALL_SERVICE_PATIENCE="3").wait_until_ready()
    assert eventually(lambda: len(server.workers) == 2)
    before = server.workers
    blocking = block(server, 600)
    assert eventually(lambda: len(set(before) - set(server.workers)) == 1, 60)
    blocking.join()
    assert "the event loop is stuck" in server.errors
    assert "small_service.py" in server.errors  # where it hung
    assert eventually(lambda: len(server.workers) == 2 and all(live(server, 5) for _ in range(8)))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
