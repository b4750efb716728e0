"""Other Pythons to measure on: found on the path or named in ``BENCH_PYTHONS``; the packages go to a throw-away environment."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def version_of(python: str) -> str | None:
    """``3.13`` for an interpreter that runs; None for one that does not (a shim of a version manager, for example)."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def others() -> list[str]:
    """Interpreters of other versions than the running one."""
    named = os.environ.get("BENCH_PYTHONS")
    candidates = named.split(os.pathsep) if named else [found for found in (shutil.which("python3.13"),) if found]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    chosen = []
    for candidate in candidates:
        version = version_of(candidate)
        if version is None:
            print(f"{candidate} does not run, and is left out\n")
        elif version != here:
            chosen.append(candidate)
    return chosen


@contextmanager
def environment(python: str) -> Iterator[str]:
    """The Python of a throw-away environment with the toolkit and what it is compared with."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = str(Path(folder) / "bin" / "python")
        install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", str(ROOT / "locks" / "bench.txt")], check=True)
        subprocess.run([*install, "--no-deps", str(ROOT)], check=True)
        yield inside
