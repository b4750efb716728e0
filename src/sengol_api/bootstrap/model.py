"""The language model and its embeddings, from the settings."""

from dataclasses import dataclass
from typing import Final

from sengol_api.adapters.known_subjects import KnownSubjects
from sengol_api.adapters.ladder import PatientEmbedder, PatientModel
from sengol_api.adapters.openai import OpenAIClient, OpenAIEmbedder, OpenAIModel, OpenAIOptions, Provider
from sengol_api.adapters.token_budget import BudgetedModel
from sengol_api.data_dir import StartError
from sengol_api.resilience import AdaptiveTimeout, Cache, CircuitBreaker, OptionsError, RateStore, Registry, Tier
from sengol_api.review.ports import LanguageModel
from sengol_api.settings import Settings

NO_MODEL: Final = "none"
ANSWER_TOKENS: Final = 4_000
"""Longest answer of the model: a domain's takes some two thousand."""

OF_ANSWERS: Final = AdaptiveTimeout(min_timeout=5.0, window=600.0)
"""Reviews come a few a minute, and answers differ in length: ten minutes show how long they take, and five seconds are few."""


@dataclass(frozen=True, slots=True)
class ModelParts:
    """What a key brings.

    Attributes:
        client: to be opened and closed; its statistics are for health and metrics.
        model: for questions; None where no chat model is set.
        embedder: for vectors; None where this process makes them.
    """

    client: OpenAIClient
    model: LanguageModel | None
    embedder: OpenAIEmbedder | None

    @property
    def patient_embedder(self) -> PatientEmbedder | None:
        """For descriptions and queries, which have a deadline."""
        return None if self.embedder is None else PatientEmbedder(self.embedder)


def adaptive(settings: Settings, policy: AdaptiveTimeout) -> AdaptiveTimeout | None:
    """The policy, if timeouts are to follow the latency."""
    return policy if settings.adaptive_timeouts else None


def breaker(settings: Settings) -> CircuitBreaker:
    """The circuit breaker of every upstream."""
    return CircuitBreaker(
        failure_threshold=settings.circuit_breaker_failure_threshold,
        success_threshold=settings.circuit_breaker_success_threshold,
        reset_timeout=settings.circuit_breaker_timeout / 1000,
        window=settings.circuit_breaker_monitoring_period / 1000,
    )


def model_parts(settings: Settings, registry: Registry, tier: Tier | None, store: RateStore | None) -> ModelParts | None:
    """The model of the settings; None without a key, and without the address of a server that may ask for none.

    Args:
        settings: OPENAI_*, CACHE_*, TOKENS_PER_DAY.
        registry: where its pipelines are entered.
        tier: a cache that replicas share.
        store: counts the budgets of users for all replicas.

    Raises:
        StartError: the settings name a provider that cannot be asked.
    """
    if not settings.openai_api_key and not settings.openai_base_url:
        return None
    try:
        options = OpenAIOptions(
            api_key=settings.openai_api_key,
            base_url=settings.openai_base_url,
            model="" if settings.openai_model == NO_MODEL else settings.openai_model,
            embedding_model=settings.openai_embedding_model,
            json_form=settings.openai_json_form,
            fallbacks=tuple(Provider(**each) for each in settings.fallbacks),
            timeout=settings.openai_timeout / 1000,
            max_retries=settings.openai_max_retries,
            breaker=breaker(settings),
            adaptive=adaptive(settings, OF_ANSWERS),
        )
        cache = Cache(
            max_entries=settings.cache_max_size,
            max_bytes=settings.cache_bytes,
            ttl=float(settings.cache_model_ttl),
            stale_if_error=float(settings.cache_stale_ttl),
        )
        client = OpenAIClient(options, cache=cache if settings.cache_enabled else None, tier=tier, registry=registry)
    except OptionsError as error:
        raise StartError(f"OPENAI_*: {error}") from None
    model: LanguageModel | None = None
    if client.model:
        model = OpenAIModel(client, max_tokens=ANSWER_TOKENS)
        if settings.cache_enabled:
            kept = float(settings.cache_model_ttl + settings.cache_stale_ttl)
            model = KnownSubjects(model, entries=settings.cache_max_size, seconds=kept, tier=tier, registry=registry)
        if settings.tokens_per_day:
            model = BudgetedModel(model, settings.tokens_per_day, store=store, registry=registry)
        model = PatientModel(model)
    embedder = OpenAIEmbedder(client, settings.openai_embedding_dimensions) if settings.embedded_by_provider else None
    return ModelParts(client, model, embedder)
