"""How answers and vectors are kept."""

from typing import Final

import msgspec

from sengol_api.adapters.openai.answers import Reply
from sengol_api.adapters.openai.routes import Ground
from sengol_api.resilience import Cache, Pipeline, Tier

ANSWERS: Final = Cache(max_entries=1000, ttl=7200.0, stale_if_error=86_400.0)
"""How answers are kept unless a caller says otherwise: two hours, and a day more for when nobody has a new one."""
VECTORS: Final = Cache(max_entries=10_000, max_bytes=64 * 1024 * 1024, ttl=30 * 86_400.0)
"""How vectors are kept: those of a model do not change."""

_AROUND = 500  # bytes that an answer takes beside its text


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
