"""Passwords by argon2id, in threads of their own, and only so many at once: a flood of log-ins holds up nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sengol_api.resilience import Bulkhead, Pipeline

T = TypeVar("T")
THREADS: Final = 2
LIMIT: Final = Bulkhead(max_concurrent=THREADS, max_queue=32, queue_timeout=5.0)
"""At some 50 ms each, two at once, the last in line waits for about a second. Each takes 64 MiB while it runs."""


class Argon2Hasher:
    """The ``PasswordHasher`` with RFC 9106's low-memory parameters.

    Args:
        hasher: other parameters, for tests that hash often.
        pipeline: under which passwords are hashed and verified.
    """

    def __init__(self, hasher: PasswordHasher | None = None, *, pipeline: Pipeline | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._pipeline = pipeline or Pipeline("passwords", LIMIT)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._nobody = self._threads.submit(self._hasher.hash, "the password of nobody")

    async def hash(self, password: str) -> str:
        """See the port."""
        return await self._pipeline.call(self._in_thread, self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """See the port."""
        matches = await self._pipeline.call(self._in_thread, self._verify, password_hash, password)
        return matches and password_hash is not None

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash or self._nobody.result(), password)
        except (VerificationError, InvalidHashError):
            return False
