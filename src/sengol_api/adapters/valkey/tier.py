"""The tier that the caches of all replicas share."""

import asyncio
import secrets
from typing import Final

from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.errors import ValkeyError
from sengol_api.adapters.valkey.times import milliseconds

_MARK: Final = 16
_SWEPT: Final = 200
_PAUSE: Final = 0.01


class ValkeyTier:
    """The toolkit's ``Tier``: entries under a prefix of their own, each with its time to live.

    Every entry begins with the mark of its generation, and is read together with the present mark in one round trip. To clear is
    to set another mark: at once, for all replicas, however many entries there are. What a replica made before that and writes after
    it does not count either. The memory is given back in the background. Should the server lose the mark, all entries are lost.

    Args:
        client: talks to the server.
        prefix: of all keys; no other key is ever touched.
    """

    def __init__(self, client: ValkeyClient, *, prefix: str = "sengol:cache:") -> None:
        self._client = client
        self._mark_key = f"{prefix}generation"
        self._prefix = f"{prefix}entry:"
        self._mark: bytes | None = None

    async def get(self, key: str) -> bytes | None:
        """What was set under the key; None when there is nothing, its time is over, or all was cleared since."""
        mark, entry = await self._client.ask("MGET", self._mark_key, self._prefix + key)
        self._mark = mark if isinstance(mark, bytes) and len(mark) == _MARK else None
        if self._mark is None or entry is None or not entry.startswith(self._mark):
            return None
        return bytes(entry[_MARK:])

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep a value for ``ttl`` seconds, in the generation that this replica knows of."""
        if ttl <= 0:
            await self.delete(key)
            return
        mark = self._mark or await self._present_mark()
        await self._client.ask("SET", self._prefix + key, mark + value, "PX", milliseconds(ttl))

    async def delete(self, key: str) -> None:
        """Forget a value."""
        await self._client.ask("UNLINK", self._prefix + key)

    async def clear(self) -> None:
        """Forget all values, for all replicas."""
        mark = _new_mark()
        await self._client.ask("SET", self._mark_key, mark)
        self._mark = mark
        self._client.in_background(self._sweep(mark))

    async def _present_mark(self) -> bytes:
        """The mark that counts; one is made when the server has none, or something that is none."""
        made = _new_mark()
        _, kept = await asyncio.gather(self._client.ask("SET", self._mark_key, made, "NX"), self._client.ask("GET", self._mark_key))
        if len(kept or b"") != _MARK:
            await self._client.ask("SET", self._mark_key, made)
            kept = made
        self._mark = bytes(kept)
        return self._mark

    async def _sweep(self, mark: bytes) -> None:
        """Give back the memory of entries of other generations; what is left runs out by itself."""
        cursor = b"0"
        try:
            while True:
                cursor, keys = await self._client.ask("SCAN", cursor, "MATCH", _literally(self._prefix) + "*", "COUNT", _SWEPT)
                marks = await asyncio.gather(*(self._client.ask("GETRANGE", key, 0, _MARK - 1) for key in keys))
                if old := [key for key, found in zip(keys, marks, strict=True) if found != mark]:
                    await self._client.ask("UNLINK", *old)
                if cursor == b"0":
                    return
                await asyncio.sleep(_PAUSE)
        except ValkeyError:
            return


def _new_mark() -> bytes:
    return secrets.token_hex(_MARK // 2).encode()


def _literally(text: str) -> str:
    """A text as a pattern that matches it only."""
    return "".join(f"\\{each}" if each in r"*?[]\\" else each for each in text)
