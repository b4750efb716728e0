"""The directory in which the workers of one server meet."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "sengol-api-"
_LONGEST_PATH: Final = 90
"""A socket's path may have 107 bytes (unix(7)); the rest is for its name in the directory."""


@contextmanager
def host_directory(*others: Path) -> Iterator[Path | None]:
    """A directory for the workers of this server, for its owner only; it is gone afterwards.

    What servers before left that were killed is removed: while one of its processes lives, a directory is locked.

    Args:
        others: folders to make it in where the system's own for temporary files does not do.

    Yields:
        The directory; None when none can be made: then each worker speaks for itself.
    """
    for parent in (Path(tempfile.gettempdir()), *others):
        with suppress(OSError):
            _remove_stale(parent)
        try:
            directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError:
            continue
        if len(os.fsencode(directory)) > _LONGEST_PATH:
            directory.rmdir()
            continue
        break
    else:
        yield None
        return
    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)  # children inherit it; and whoever tidies temporary files leaves what is locked
        yield directory
    finally:
        os.close(lock)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_stale(parent: Path) -> None:
    for directory in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            status = directory.lstat()
            # A directory is locked a moment after it was made.
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < 60 or not directory.is_dir():
                continue
            lock = os.open(directory, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(lock)
