"""Where the circuit breakers of all replicas leave word for each other."""

from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.times import milliseconds


class ValkeyStateStore:
    """The toolkit's ``StateStore``: small values, each for a time.

    Args:
        client: talks to the server.
        prefix: of all keys.
    """

    def __init__(self, client: ValkeyClient, *, prefix: str = "sengol:") -> None:
        self._client = client
        self._prefix = prefix

    async def get(self, key: str) -> bytes | None:
        """What was set and has not run out."""
        found: bytes | None = await self._client.ask("GET", self._prefix + key)
        return found

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep ``value`` for ``ttl`` seconds, in place of what was there."""
        if ttl > 0:
            await self._client.ask("SET", self._prefix + key, value, "PX", milliseconds(ttl))
        else:
            await self.delete(key)

    async def delete(self, key: str) -> None:
        """Forget what was set, if anything."""
        await self._client.ask("UNLINK", self._prefix + key)
