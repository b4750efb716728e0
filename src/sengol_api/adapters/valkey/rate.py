"""Rate limits that all replicas count together."""

from importlib.resources import files
from typing import Final

from sengol_api.adapters.valkey.client import Script, ValkeyClient
from sengol_api.resilience import Decision

GCRA: Final = "gcra.lua"


class ValkeyRateStore:
    """The toolkit's ``RateStore``: one script, one round trip, by the clock of the server.

    It decides as the toolkit's own store in memory does; a property test holds the two against each other. A clock that is set back
    changes nothing of what is owed.

    Args:
        client: talks to the server.
        prefix: of all keys.
    """

    def __init__(self, client: ValkeyClient, *, prefix: str = "sengol:rate:") -> None:
        self._client = client
        self._prefix = prefix
        self._script = Script.of(files(__package__).joinpath(GCRA).read_text())

    async def take(self, key: str, cost: float, interval: float, burst: float, max_wait: float) -> Decision:
        """Decide on a call; see the port."""
        allowed, remaining, retry_after, reset_after, wait = await self._run("take", key, cost, interval, burst, max_wait)
        return Decision(
            bool(allowed), float(remaining), float(retry_after) if retry_after else None, float(reset_after), float(wait)
        )

    async def adjust(self, key: str, cost: float, interval: float, burst: float) -> None:
        """Charge (above 0, also above the burst) or give back (below 0) units."""
        await self._run("adjust", key, cost, interval, burst, 0.0)

    async def _run(self, what: str, key: str, *numbers: float) -> list[bytes]:
        answer: list[bytes] = await self._client.run(self._script, (self._prefix + key,), what, *map(repr, map(float, numbers)))
        return answer
