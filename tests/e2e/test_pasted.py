"""What the README and the start tell to paste into a shell, pasted: once, and again the next day."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl to paste into")]


def paste(commands: str, folder: Path) -> subprocess.CompletedProcess:
    """Run commands as a person's shell would, with the Python of the tests as ``python3``."""
    found = folder / "bin"
    found.mkdir(exist_ok=True)
    if not (found / "python3").exists():
        (found / "python3").symlink_to(sys.executable)
    path = f"{found}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_the_first_review_that_the_start_prints_can_be_pasted_again_and_again(first_start, tmp_path):
    said = first_start.said.decode()
    commands = said[said.index("  A=http") :].replace("| less", "> review.json")
    for _ in range(2):
        paste(commands, tmp_path)
        assert len(json.loads((tmp_path / "review.json").read_text())["data"]["riskQuestions"]) >= 60


def test_the_review_by_hand_of_the_readme_ends_with_a_score(first_start, tmp_path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    by_hand = readme[readme.index("## A review, by hand") : readme.index("## What to know")]
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", by_hand, re.DOTALL))
    assert "http://localhost:4000" in commands
    commands = commands.replace("http://localhost:4000", first_start.url)
    for _ in range(2):
        told = paste(commands, tmp_path).stdout
        score = json.loads(told[told.index('{\n    "data"') :])["data"]
        assert 0 < score["score"] < 100
        assert score["risk"]["unanswered"] == len(score["risk"]["terms"]) - 2
