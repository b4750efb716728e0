"""The data directory: made for its owner only, with the key of a development server in it."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sengol_api.settings import Settings

SECRET_FILE: Final = "jwt-secret"  # noqa: S105 - a file's name
LOCK_FILE: Final = "load.lock"


class StartError(Exception):
    """The service cannot start; the message says what to do."""


def ensure_data_dir(settings: Settings) -> Path:
    """Make the data directory, readable for its owner only.

    Raises:
        StartError: it cannot be made or written to.
    """
    path = settings.data_path
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartError(f"DATA_DIR: {path} cannot be made: {error.strerror}. Choose another with --data-dir.") from None
    if not os.access(path, os.W_OK):
        raise StartError(f"DATA_DIR: {path} cannot be written to. Choose another with --data-dir.")
    return path


def jwt_secret(settings: Settings) -> str:
    """The key of the tokens: the configured one, or one that is made once and kept in the data directory.

    Raises:
        StartError: the kept one cannot be read or written, or was damaged.
    """
    if settings.jwt_secret:
        return settings.jwt_secret
    file = ensure_data_dir(settings) / SECRET_FILE
    try:
        if not file.exists():
            _create(file)
        found = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{file} cannot be used: {error}. Repair it, or set JWT_SECRET.") from None
    if len(found) < 32:
        raise StartError(f"{file} does not hold a key of at least 32 characters. Delete it and start again.")
    return found


def _create(file: Path) -> None:
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_urlsafe(48))
        os.link(draft, file)  # atomic: of two that start at once the second finds the first one's key
    except FileExistsError:
        pass
    finally:
        draft.unlink()


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process of this machine at a time load the corpus of a data directory; the others wait.

    Raises:
        StartError: the file of the lock cannot be made.
    """
    file = path / LOCK_FILE
    try:
        lock = file.open("w")
    except OSError as error:
        raise StartError(f"DATA_DIR: {file} cannot be made: {error.strerror}.") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
