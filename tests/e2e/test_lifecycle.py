"""Starting, crashing, stopping."""

import signal
import socket
import subprocess
import sys
import threading

import pytest

from support.process import environment
from support.wire import SYSTEM

pytestmark = pytest.mark.e2e


def questions_of(client, review) -> dict:
    data = client.post(f"/api/review/{review}/generate-questions", json=SYSTEM).json()["data"]
    return {name: data[name] for name in ("riskQuestions", "complianceQuestions")}


def test_the_first_start_says_where_it_is_and_what_to_send(first_start):
    said = first_start.said.decode()
    port = first_start.url.rpartition(":")[2]
    assert f"http://localhost:{port}/docs" in said
    assert f"A=http://localhost:{port} " in said
    assert "15637/15637" in first_start.errors or "genai-incidents" in first_start.errors


def test_what_was_acknowledged_is_there_after_kill_9_and_nothing_is_loaded_again(start):
    server = start().wait_until_ready()
    assert "loading" not in server.errors
    with server.log_in() as client:
        token = client.headers["Authorization"]
        review = client.post("/api/review", json={}).json()["data"]["id"]
        questions = questions_of(client, review)
        assert client.put(f"/api/review/{review}/save-questions", json=questions).status_code == 200
        server.kill()
    server = start().wait_until_ready()
    with server.client(Authorization=token) as client:
        detail = client.get(f"/api/review/{review}").json()["data"]
        assert {name: detail[name] for name in questions} == questions
        key = questions["riskQuestions"][0]["id"]
        assert client.put(f"/api/review/{review}/answers", json={key: "addressed"}).status_code == 200
        server.kill()
    server = start().wait_until_ready()
    with server.log_in(register=False) as client:
        assert client.get(f"/api/review/{review}").json()["data"]["answers"] == {key: "addressed"}


def test_a_request_in_flight_is_answered_when_the_server_is_told_to_stop(start):
    server = start().wait_until_ready()
    with server.log_in() as client:
        review = client.post("/api/review", json={}).json()["data"]["id"]
        body_began, answers = threading.Event(), []

        def slow_body():
            yield b'{"systemDescription": "A chatbot answers patients'
            body_began.set()
            stopping.wait(30)
            yield b' from their medical records."}'

        stopping = threading.Event()

        def ask():
            path = f"/api/review/{review}/generate-questions"
            answers.append(client.post(path, content=slow_body(), headers={"Content-Type": "application/json"}))

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            assert body_began.wait(30)
            # Another request on another connection is answered after the first began, so the server has the first one.
            with server.client() as other:
                assert other.get("/health").status_code == 200
            server.process.send_signal(signal.SIGTERM)
        finally:
            stopping.set()
            asking.join()
    assert answers[0].status_code == 200
    assert answers[0].json()["data"]["riskQuestions"]
    assert server.process.wait(30) == 0


def test_two_workers_serve_one_review(start):
    server = start("--workers", "2").wait_until_ready()
    with server.log_in() as client:
        review = client.post("/api/review", json={}).json()["data"]["id"]
        ids = []
        for _ in range(8):
            with server.client(Authorization=client.headers["Authorization"]) as fresh:  # a connection may meet another worker
                assert fresh.get(f"/api/review/{review}").status_code == 200
                ids.append([q["id"] for q in questions_of(fresh, review)["riskQuestions"]])
        assert all(found == ids[0] for found in ids)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0


def test_a_port_that_is_taken_is_told_in_one_message(command, data_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("serve", "--port", port, "--data-dir", data_dir)
    assert done.returncode == 2
    assert done.stderr.strip() == f"cannot listen on 127.0.0.1:{port}: Address already in use. Choose another --port."


def test_production_without_a_secret_does_not_start(command, tmp_path):
    done = command("serve", "--port", "0", "--data-dir", tmp_path / "new", ENVIRONMENT="production")
    assert done.returncode == 2
    assert "JWT_SECRET: got nothing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()


def test_every_setting_that_is_wrong_is_told_at_once_without_showing_secrets(command, tmp_path):
    done = command("serve", "--data-dir", tmp_path / "new", REQUEST_TIMEOUT="soon", PORT="99999", LOG_LEVEL="loud", CACHE_TTL="-1")
    assert done.returncode == 2
    assert done.stderr.startswith("4 settings are wrong:")
    for name in ("REQUEST_TIMEOUT", "PORT", "LOG_LEVEL", "CACHE_TTL"):
        assert f"  {name}: got " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_directory_that_cannot_be_is_told(command, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = command("serve", "--port", "0", "--data-dir", tmp_path / "file")
    assert done.returncode == 2
    assert done.stderr.startswith("DATA_DIR: ")
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_answer_ends_the_start_with_one_line(command, tmp_path):
    url = f"postgresql://someone:canary-password@/nowhere?host={tmp_path}"
    done = command("serve", "--port", "0", "--data-dir", tmp_path / "new", DATABASE_URL=url)
    assert done.returncode != 0
    assert "cannot start" in done.stderr
    assert "canary-password" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def one_reason(done) -> str:
    """The one line that says why it did not start."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    [line] = [line for line in done.stderr.splitlines() if "cannot start" in line]
    return line


def test_a_damaged_database_ends_the_start_with_one_line(command, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sengol.sqlite3").write_bytes(b"this is no database, whatever its name says" * 200)
    reason = one_reason(command("serve", "--port", "0", "--data-dir", tmp_path / "data"))
    assert str(tmp_path / "data" / "sengol.sqlite3") in reason
    assert "not a database" in reason


def test_a_disk_without_room_for_the_corpus_ends_the_start_with_one_line(tmp_path):
    start = [sys.executable, "-m", "sengol_api", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 4096 && exec "$@"', "sh", *start],  # no file grows past some megabytes
        capture_output=True, text=True, env=environment(), cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert "cannot be used: " in one_reason(done)


def test_the_data_directory_is_for_its_owner_only(first_start):
    for path in (first_start.data_dir, first_start.data_dir / "jwt-secret"):
        assert path.stat().st_mode & 0o077 == 0


def test_help_comes_without_a_setting_or_a_folder(command, tmp_path):
    done = command("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("serve", "check", "ingest", "openapi"))
    assert isinstance(done, subprocess.CompletedProcess)
    assert list(tmp_path.iterdir()) == []


def test_no_description_password_or_token_stands_in_the_log_of_a_server_that_logs_everything(start):
    server = start(LOG_LEVEL="debug", LOG_FORMAT="json").wait_until_ready()
    with server.log_in("canary-address@example.com") as client:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        review = client.post("/api/review", json={"name": "canary-name"}).json()["data"]["id"]
        for text in ("canary-description, a chatbot that answers patients", "canary-description\x00 is wrong"):
            client.post(f"/api/review/{review}/generate-questions", json={"systemDescription": text})
        client.post("/api/auth/login", json={"email": "canary-address@example.com", "password": "canary-password"})
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    log = server.errors
    assert "/api/review/{id}/generate-questions" in log
    for secret in ("canary", token, token.rpartition(".")[2], "a long passphrase"):
        assert secret not in log
