"""The other commands: check, openapi, ingest."""

import json

import pytest

pytestmark = pytest.mark.e2e


def row(**fields) -> str:
    return json.dumps(
        {"title": "Zeppelin booking assistant leaked its passengers", "text": "It read out bookings of others.", **fields}
    )


def test_check_shows_every_setting_and_that_each_dependency_answers(command, data_dir):
    secret = "a secret that must not be shown anywhere"
    done = command("check", "--data-dir", data_dir, JWT_SECRET=secret, CACHE_TTL="77")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("REQUEST_TIMEOUT", "DATA_DIR", "OPENAI_API_KEY"):
        assert name in done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("CACHE_TTL")] == [["CACHE_TTL", "77"]]
    assert secret not in done.stdout + done.stderr
    for dependency in ("database", "corpus", "embedder"):
        assert f"ok   {dependency}: " in done.stdout


def test_check_of_an_empty_folder_says_what_is_missing(command, tmp_path):
    done = command("check", "--data-dir", tmp_path / "new")
    assert done.returncode in {0, 1}
    assert "serve" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_misspelt_setting_is_told(command, data_dir):
    done = command("check", "--data-dir", data_dir, CACHE_TLL="5")
    assert "CACHE_TLL is not a setting; did you mean CACHE_TTL?" in done.stderr


def test_openapi_prints_the_document_that_is_served(command, first_start):
    done = command("openapi")
    assert done.returncode == 0
    with first_start.client() as client:
        assert json.loads(done.stdout) == client.get("/openapi.json").json()


def test_good_rows_go_in_bad_ones_are_told_and_a_second_time_changes_nothing(command, data_dir, start, tmp_path):
    file = tmp_path / "own.jsonl"
    lines = [
        row(id="own-1", organization="Skyways", severity="high", date="2025-03", cost=5, costKind="fine"),
        "{not json",
        row(id="own-2", severity="awful", date="2025-13", colour="red"),
        json.dumps({"text": "without a title"}),
        "",
        row(id="own-3", title="Another zeppelin tale"),
    ]
    file.write_text("\n".join(lines))
    first = command("ingest", file, "--data-dir", data_dir)
    assert first.returncode == 1
    assert first.stdout.splitlines()[0] == "2 added, 0 changed, 0 unchanged, 3 left out."
    told = [line for line in first.stderr.splitlines() if line.startswith(str(file))]
    assert [line.removeprefix(f"{file}:").partition(":")[0] for line in told] == ["2", "3", "4"]
    assert all(word in told[1] for word in ("severity", "date", "colour"))
    second = command("ingest", file, "--data-dir", data_dir)
    assert second.stdout.splitlines()[0] == "0 added, 0 changed, 2 unchanged, 3 left out."
    server = start().wait_until_ready()
    with server.log_in() as client:
        answer = client.post("/api/incidents/search", json={"query": "zeppelin booking assistant", "limit": 3})
        assert {"own-1", "own-3"} <= {incident["id"] for incident in answer.json()["data"]["incidents"]}


@pytest.mark.parametrize("name", ["missing.jsonl", "unclear.txt", "folder"])
def test_a_file_that_cannot_be_read_is_told_without_a_trace(command, data_dir, tmp_path, name):
    if name == "unclear.txt":
        (tmp_path / name).write_text(row())
    if name == "folder":
        (tmp_path / name).mkdir()
    done = command("ingest", tmp_path / name, "--data-dir", data_dir)
    assert done.returncode in {1, 2}
    assert name in done.stderr
    assert "Traceback" not in done.stderr
