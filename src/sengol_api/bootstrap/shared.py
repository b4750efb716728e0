"""What the replicas share through Valkey, where there is one."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from sengol_api.adapters.valkey.client import ValkeyClient
from sengol_api.adapters.valkey.rate import ValkeyRateStore
from sengol_api.adapters.valkey.state import ValkeyStateStore
from sengol_api.adapters.valkey.tier import ValkeyTier
from sengol_api.data_dir import StartError
from sengol_api.resilience import RateStore, Registry, SharedBreakers, StateStore, Tier
from sengol_api.settings import Settings

ROUND: Final = 0.4
"""Seconds between two rounds of the breakers: what one replica finds out, the others know after two of them at most."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What replicas share; all None where they share nothing.

    Attributes:
        client: for its health.
        tier: behind the caches.
        rates: counts for limits and budgets.
        states: word between circuit breakers.
    """

    client: ValkeyClient | None = None
    tier: Tier | None = None
    rates: RateStore | None = None
    states: StateStore | None = None


def open_shared(settings: Settings, stack: AsyncExitStack) -> Shared:
    """The server of REDIS_URL. It is not asked for anything yet: a start does not wait for it.

    Raises:
        StartError: the URL cannot be used.
    """
    if not settings.redis_url:
        return Shared()
    try:
        client = ValkeyClient(settings.redis_url)
    except ValueError as error:
        raise StartError(f"REDIS_URL: {error}") from None
    stack.push_async_callback(client.aclose)
    return Shared(client, ValkeyTier(client), ValkeyRateStore(client), ValkeyStateStore(client))


async def share_breakers(shared: Shared, registry: Registry, stack: AsyncExitStack) -> None:
    """Let the replicas tell each other which upstreams are down; each goes on deciding by its own calls."""
    breakers = registry.breakers().values()
    if shared.states is not None and breakers:
        await stack.enter_async_context(SharedBreakers(shared.states, *breakers, interval=ROUND))
