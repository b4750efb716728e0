"""Hostile requests, generated from the OpenAPI document by schemathesis, against the real server.

    make fuzz

Two rounds: every operation with whatever ids are generated, then the routes of one review with the id of a real one, so that
the requests get past the look for it. The seed is fixed: a failure comes again.

One check is left out: that whatever fits the schema is accepted. What a schema cannot say (a question must be among the saved
ones, a weight must follow from its parts, an address may be taken) is refused with 400, and the tests of the API hold that.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

SEED = "20261124"
LEFT_OUT = "positive_data_acceptance"


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of a running server."""
    command = [sys.executable, "-m", "sengol_api", "serve", "--port", "0", "--data-dir", str(folder / "var")]
    log = (folder / "log").open("w+")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "LOG_LEVEL": "error"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    try:
        assert process.stdout is not None
        address = next((m[1] for line in process.stdout if (m := re.search(r"ready at (http://\S+?),", line))), None)
        if address is None:
            log.seek(0)
            raise SystemExit(f"the server did not start:\n{log.read()}")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        log.seek(0)
        if errors := log.read():
            sys.stdout.write(f"\nthe server's log:\n{errors[-8000:]}\n")
        log.close()


def prepare(address: str) -> tuple[str, str]:
    """A token, and the id of a review with saved questions."""
    with httpx2.Client(base_url=address, timeout=60) as client:
        account = {"email": "fuzz@example.com", "password": "a long passphrase"}
        token = client.post("/api/auth/register", json=account).json()["data"]["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        review = client.post("/api/review", json={"name": "fuzz"}).json()["data"]["id"]
        asked = client.post(
            f"/api/review/{review}/generate-questions",
            json={"systemDescription": "A portal for suppliers with a language model that reads their invoices", "maxQuestions": 8},
        ).json()["data"]
        questions = {name: asked[name] for name in ("riskQuestions", "complianceQuestions")}
        client.put(f"/api/review/{review}/save-questions", json=questions).raise_for_status()
        return token, review


def attack(address: str, token: str, folder: Path, examples: int, *options: str, config: str = "") -> bool:
    """One round; whether nothing was found."""
    file = folder / "schemathesis.toml"
    file.write_text(config)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={file}",
        "run",
        f"{address}/openapi.json",
        f"--header=Authorization: Bearer {token}",
        f"--exclude-checks={LEFT_OUT}",
        f"--max-examples={examples}",
        f"--seed={SEED}",
        "--phases=examples,coverage,fuzzing",
        "--warnings=off",
        "--no-color",
        *options,
    ]
    return subprocess.run(command, cwd=folder, check=False, timeout=600).returncode == 0


def main() -> None:
    """Run both rounds; exit with 1 when one of them found something."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder) as address:
            token, review = prepare(address)
            everything = attack(address, token, folder, 12)
            real_id = f'[parameters]\n"path.id" = "{review}"\n'
            within = ["--include-path-regex=/api/review/.id.", "--exclude-method=DELETE"]
            one_review = attack(address, token, folder, 40, *within, config=real_id)
    if not (everything and one_review):
        raise SystemExit("hostile requests were answered wrongly: see above")


if __name__ == "__main__":
    main()
