"""The data directory and the secret in it."""

import os
import stat
import subprocess
import sys

import pytest

from sengol_api.data_dir import SECRET_FILE, StartError, alone, ensure_data_dir, jwt_secret
from sengol_api.settings import load


def settings(path, **more):
    return load({"DATA_DIR": str(path), **more})


def test_the_directory_is_made_for_its_owner_only(tmp_path):
    path = ensure_data_dir(settings(tmp_path / "deep" / "var"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert ensure_data_dir(settings(path)) == path


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "var").write_text("")
    with pytest.raises(StartError, match=r"DATA_DIR: .*var cannot be made: .*--data-dir"):
        ensure_data_dir(settings(tmp_path / "var"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "var").mkdir(mode=0o500)
    with pytest.raises(StartError, match="cannot be written to"):
        ensure_data_dir(settings(tmp_path / "var"))


def test_a_secret_is_made_once_and_kept_for_its_owner_only(tmp_path):
    first = jwt_secret(settings(tmp_path))
    assert len(first) >= 32
    assert jwt_secret(settings(tmp_path)) == first
    assert stat.S_IMODE((tmp_path / SECRET_FILE).stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [SECRET_FILE]


def test_two_installations_have_two_secrets(tmp_path):
    assert jwt_secret(settings(tmp_path / "a")) != jwt_secret(settings(tmp_path / "b"))


def test_a_configured_secret_counts_and_none_is_made(tmp_path):
    assert jwt_secret(settings(tmp_path / "var", JWT_SECRET="x" * 32)) == "x" * 32
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_damaged_secret_stops_the_start_and_names_the_file(tmp_path, content):
    (tmp_path / SECRET_FILE).write_bytes(content)
    with pytest.raises(StartError, match=str(tmp_path / SECRET_FILE)):
        jwt_secret(settings(tmp_path))


def test_processes_that_start_at_once_get_the_same_secret(tmp_path):
    script = (
        "import sys; from sengol_api.data_dir import jwt_secret; from sengol_api.settings import load\n"
        "chosen = load({'DATA_DIR': sys.argv[1]})\n"
        "print('ready', flush=True); sys.stdin.readline(); print(jwt_secret(chosen))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "var")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        secrets = {process.communicate(timeout=30)[0].strip() for process in started}
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert len(secrets) == 1
    assert secrets == {jwt_secret(settings(tmp_path / "var"))}


def test_one_process_at_a_time_loads_the_corpus(tmp_path):
    script = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    command = [sys.executable, "-c", script, str(tmp_path / "load.lock")]
    with alone(tmp_path):
        assert subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0
    assert subprocess.run(command, check=False).returncode == 0


def test_a_lock_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "load.lock").mkdir()
    with pytest.raises(StartError, match=r"DATA_DIR: .*load\.lock cannot be made: "), alone(tmp_path):
        pass
