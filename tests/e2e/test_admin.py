"""Administrators are made on the host; what they order is done by every worker."""

import json
import signal
import time

import pytest

pytestmark = pytest.mark.e2e
EMAIL = "reviewer@example.com"


def admin(command, server, *arguments):
    return command("admin", *arguments, "--data-dir", server.data_dir)


def states(server) -> set[str]:
    """Of the breaker in each worker, by connections that may meet any of them."""
    found = set()
    for _ in range(24):
        with server.client() as client:
            found.add(client.get("/health/circuit-breakers").json()["circuitBreakers"]["vectorSearch"]["state"])
    return found


def eventually(true, seconds=20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def test_an_account_is_made_an_administrator_on_the_host_and_its_orders_reach_every_worker(small, command):
    server = small("--workers", "2").wait_until_ready()
    with server.log_in(EMAIL) as client:
        assert client.get("/admin/audit").status_code == 403
        done = admin(command, server, "grant", "Reviewer@example.com")
        assert (done.returncode, done.stdout) == (0, "Reviewer@example.com is an administrator.\n")
        assert admin(command, server, "list").stdout == f"{EMAIL}\n"
        assert client.post("/admin/circuit-breakers/vectorSearch/isolate").status_code == 200
        assert eventually(lambda: states(server) == {"ISOLATED"})
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
    server = small("--workers", "2").wait_until_ready()  # one that starts later knows what holds
    with server.log_in(EMAIL, register=False) as client:
        assert states(server) == {"ISOLATED"}
        assert client.post("/admin/circuit-breakers/vectorSearch/enable").status_code == 200
        assert eventually(lambda: states(server) == {"CLOSED"})
        acts = client.get("/admin/audit").json()["data"]["acts"]
        assert [(act["action"], act["target"]) for act in acts] == [
            ("circuit-breaker.enable", "vectorSearch"),
            ("circuit-breaker.isolate", "vectorSearch"),
            ("admin.grant", EMAIL),
        ]
        assert acts[-1]["actor"].startswith("host:")
        assert acts[-1]["actorId"] is None
        assert admin(command, server, "revoke", EMAIL).returncode == 0
        assert client.get("/admin/audit").status_code == 403
    assert "There is no administrator" in admin(command, server, "list").stderr


def test_nobody_is_made_an_administrator_who_has_no_account(small, command):
    server = small().wait_until_ready()
    done = admin(command, server, "grant", "nobody@example.com")
    assert done.returncode == 1
    assert done.stderr.startswith("There is no account of nobody@example.com.")
    assert "Traceback" not in done.stderr


def test_tokens_of_the_key_before_are_good_until_that_is_taken_away(small):
    old, new = "the-key-of-yesterday-of-enough-characters", "the-key-of-today-of-just-as-many-characters"
    server = small(JWT_SECRET=old).wait_until_ready()
    with server.log_in(EMAIL) as client:
        token = client.headers["Authorization"]
    server.close()
    server = small(JWT_SECRET=new, JWT_PREVIOUS_SECRETS=old).wait_until_ready()
    with server.client(Authorization=token) as client:
        assert client.get("/api/review").status_code == 200
    with server.log_in(EMAIL, register=False) as client:
        fresh = client.headers["Authorization"]
    server.close()
    server = small(JWT_SECRET=new).wait_until_ready()
    with server.client() as client:
        assert client.get("/api/review", headers={"Authorization": fresh}).status_code == 200
        answer = client.get("/api/review", headers={"Authorization": token})
        assert (answer.status_code, json.loads(answer.content)["code"]) == (401, "AUTHENTICATION_ERROR")


def test_a_requirement_that_is_no_dependency_ends_the_start_with_one_line(command, data_dir):
    done = command("serve", "--port", "0", "--data-dir", data_dir, READINESS_REQUIRES="databse")
    assert done.returncode != 0
    assert "READINESS_REQUIRES: databse: no such dependency; there are database, embedder" in done.stderr
    assert "Traceback" not in done.stderr
