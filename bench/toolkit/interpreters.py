"""Other Pythons to measure on: 3.13 where there is one, or those that ``BENCH_PYTHONS`` names (paths, with colons between).

The packages go to a throw-away environment.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALSO = "3.13"


def version_of(python: str) -> str | None:
    """``3.13`` for an interpreter that runs; None for one that does not (a shim of a version manager, for example)."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _found(version: str) -> Iterator[str]:
    """Interpreters of that version: on the path, of which the first may be a shim that runs nothing, and those of pyenv."""
    name = f"python{version}"
    on_path = (Path(folder) / name for folder in os.environ.get("PATH", "").split(os.pathsep) if folder)
    yield from (str(path) for path in on_path if path.exists())
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in sorted(pyenv.glob(f"versions/{version}*/bin/{name}"), reverse=True))


def others() -> list[str]:
    """Interpreters of other versions than the running one: those named, or one of 3.13 where there is one."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    named = os.environ.get("BENCH_PYTHONS")
    if named:
        versions = {candidate: version_of(candidate) for candidate in named.split(os.pathsep)}
        for candidate in (each for each, version in versions.items() if version is None):
            print(f"{candidate} does not run, and is left out\n")
        return [candidate for candidate, version in versions.items() if version not in (None, here)]
    if here == ALSO:
        return []
    running = next((candidate for candidate in _found(ALSO) if version_of(candidate) == ALSO), None)
    if running is None:
        print(f"There is no Python {ALSO} here to measure on as well; BENCH_PYTHONS names one.\n")
        return []
    return [running]


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
