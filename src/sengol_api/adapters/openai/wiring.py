"""From options to what does the work: providers, their routes in order, and the pipelines around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sengol_api.adapters.openai.answers import Reply
from sengol_api.adapters.openai.asks import ChatAsk, EmbeddingAsk
from sengol_api.adapters.openai.chain import Chain
from sengol_api.adapters.openai.errors import KeyRefusedError, QuotaError
from sengol_api.adapters.openai.options import Provider
from sengol_api.adapters.openai.routes import ChatRoute, EmbeddingRoute, Ground, Route
from sengol_api.adapters.openai.upstream import Upstream
from sengol_api.resilience import Cache, Pipeline, Tier

_AROUND = 500  # bytes that an answer takes beside its text


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
    keys = _keys(providers, ground)
    upstreams = {provider.name: Upstream(provider, ground.clock.wall) for provider in providers}

    def chain(kind: Any, able: Sequence[Provider]) -> Chain[Any, Any]:  # noqa: ANN401 - a class of routes
        routes = [kind(upstreams[each.name], keys[each.name], ground, first=each is providers[0]) for each in able]
        return Chain(routes, ground.options.reserve, ground.clock)

    model = next((each.embedding_model for each in providers if each.embedding_model), None)
    return Wiring(
        upstreams=tuple(upstreams.values()),
        chat=chain(ChatRoute, [each for each in providers if each.model]),
        embeddings=chain(EmbeddingRoute, [each for each in providers if each.embedding_model == model]),
        keys=tuple(dict.fromkeys(keys.values())),
    )


def _keys(providers: Sequence[Provider], ground: Ground) -> dict[str, Pipeline]:
    """The pipelines with the breakers of the accounts, by the name of the provider; one for all who share an account."""
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
    by_account: dict[tuple[str, str], Pipeline] = {}
    for provider in providers:
        if provider.account not in by_account:
            name = f"{options.name}.key.{provider.name}"
            by_account[provider.account] = Pipeline(name, breaker, clock=ground.clock, random=ground.random)
    return {provider.name: by_account[provider.account] for provider in providers}


def cached(operation: str, cache: Cache, ground: Ground) -> Pipeline:
    """The pipeline of a cache, whose calls have their key as the first argument."""
    cache = cache.changed(key=lambda key, *_: key)
    return Pipeline(f"{ground.options.name}.{operation}", cache, clock=ground.clock, random=ground.random)


def of_answers(cache: Cache, tier: Tier | None, fallback_ttl: float) -> Cache:
    """How answers are kept: those of a fallback not as long, since the first provider may be back soon."""

    def ttl_of(reply: Reply) -> float | None:
        return None if reply.first else min(fallback_ttl, cache.ttl)

    return cache.changed(
        ttl_of=cache.ttl_of or ttl_of,
        size_of=cache.size_of or (lambda reply: len(reply.text.encode()) + _AROUND),
        tier=tier if tier is not None else cache.tier,
        encode=msgspec.json.encode,
        decode=msgspec.json.Decoder(Reply).decode,
    )


def of_vectors(cache: Cache) -> Cache:
    """How vectors are kept: text by text. The requests that bring them (tuples of vectors) are only shared while under way."""
    return cache.changed(ttl_of=lambda kept: 0.0 if isinstance(kept, tuple) else None, tier=None)
