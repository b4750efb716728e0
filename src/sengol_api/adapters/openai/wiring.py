"""From options to what does the work: providers, their routes in order, and the pipelines around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sengol_api.adapters.openai.account import Account
from sengol_api.adapters.openai.answers import Reply
from sengol_api.adapters.openai.asks import ChatAsk, EmbeddingAsk
from sengol_api.adapters.openai.chain import Chain
from sengol_api.adapters.openai.errors import KeyRefusedError, QuotaError
from sengol_api.adapters.openai.options import Provider
from sengol_api.adapters.openai.routes import ChatRoute, EmbeddingRoute, Ground, Route
from sengol_api.adapters.openai.upstream import Upstream
from sengol_api.resilience import Pipeline


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a client is made of.

    Attributes:
        upstreams: one for each provider.
        chat: the routes of chat requests.
        embeddings: those of embedding requests, to providers of one and the same model.
        keys: pipelines with the breakers of the accounts.
    """

    upstreams: tuple[Upstream, ...]
    chat: Chain[ChatAsk, Reply]
    embeddings: Chain[EmbeddingAsk, tuple[bytes, ...]]
    keys: tuple[Pipeline, ...]

    @property
    def routes(self) -> list[Route[Any, Any]]:
        """Of both kinds."""
        return [*self.chat.routes, *self.embeddings.routes]

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """All but the caches."""
        return (*self.keys, *(route.pipeline for route in self.routes))

    @property
    def retries(self) -> int:
        """Further attempts so far."""
        return sum(route.retries for route in self.routes)


def wired(providers: Sequence[Provider], ground: Ground) -> Wiring:
    """Everything for these providers, in their order."""
    accounts = _accounts(providers, ground)
    upstreams = {provider.name: Upstream(provider, ground.clock.wall) for provider in providers}

    def chain(kind: Any, able: Sequence[Provider]) -> Chain[Any, Any]:  # noqa: ANN401 - a class of routes
        routes = [kind(upstreams[each.name], accounts[each.name], ground, first=each is providers[0]) for each in able]
        return Chain(routes, ground.options.reserve, ground.clock)

    model = next((each.embedding_model for each in providers if each.embedding_model), None)
    return Wiring(
        upstreams=tuple(upstreams.values()),
        chat=chain(ChatRoute, [each for each in providers if each.model]),
        embeddings=chain(EmbeddingRoute, [each for each in providers if each.embedding_model == model]),
        keys=tuple(account.pipeline for account in dict.fromkeys(accounts.values())),
    )


def _accounts(providers: Sequence[Provider], ground: Ground) -> dict[str, Account]:
    """The accounts, by the name of the provider; one for all who share it."""
    options = ground.options
    breaker = options.breaker.changed(
        failure_threshold=1,
        success_threshold=1,
        max_probes=1,
        trip_on="consecutive",
        slow_call=None,
        failure_on=(QuotaError, KeyRefusedError),
        failure_on_result=None,
        probe_timeout=(options.timeout + options.max_wait) * (options.max_retries + 1),
    )
    by_account: dict[tuple[str, str], Account] = {}
    for provider in providers:
        if provider.account not in by_account:
            name = f"{options.name}.key.{provider.name}"
            pipeline = Pipeline(name, breaker, clock=ground.clock, random=ground.random)
            by_account[provider.account] = Account(pipeline, ground.clock)
    return {provider.name: by_account[provider.account] for provider in providers}
