"""Passwords by argon2id, in threads of their own so that log-ins never hold up reviews."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

THREADS: Final = 2


class Argon2Hasher:
    """The ``PasswordHasher`` with RFC 9106's low-memory parameters.

    Args:
        hasher: other parameters, for tests that hash often.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._nobody = self._threads.submit(self._hasher.hash, "the password of nobody")

    async def hash(self, password: str) -> str:
        """See the port."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """See the port."""
        matches = await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password_hash, password)
        return matches and password_hash is not None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash or self._nobody.result(), password)
        except (VerificationError, InvalidHashError):
            return False
