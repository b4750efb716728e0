"""Everything that the operations need, wired."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

from sengol_api.adapters.answers import Answers, AnswersOptions
from sengol_api.adapters.argon2_hasher import LIMIT as PASSWORDS
from sengol_api.adapters.argon2_hasher import Argon2Hasher
from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.api.gate import Gate, GateOptions
from sengol_api.api.limits import LimitOptions, Limits
from sengol_api.api.services import Services
from sengol_api.api.tokens import Tokens
from sengol_api.bootstrap.corpus import ATTRIBUTION
from sengol_api.bootstrap.database import open_database, utc_now
from sengol_api.bootstrap.dependencies import dependencies, look_after
from sengol_api.bootstrap.index import Indexes
from sengol_api.bootstrap.knowledge import Known, load_knowledge
from sengol_api.bootstrap.model import ModelParts, model_parts
from sengol_api.bootstrap.shared import open_shared, share_breakers
from sengol_api.bootstrap.spaces import ProviderSpace
from sengol_api.data_dir import jwt_secret
from sengol_api.observability.telemetry import Telemetry
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.steering import INTERVAL as LOOK_AT_ORDERS
from sengol_api.ops.steering import Steering
from sengol_api.resilience import Registry, Station
from sengol_api.review.generate import Assistant, GenerateQuestions
from sengol_api.review.search import SearchIncidents
from sengol_api.review.space import Spaces
from sengol_api.settings import Settings

ROOM_TO_WAIT: Final = 16
"""Reviews that are let in at once in the beginning, where they wait for a model or for an index elsewhere: that is no load."""


@asynccontextmanager
async def open_services(
    settings: Settings, telemetry: Telemetry | None = None, computing: Station | None = None
) -> AsyncIterator[Services]:
    """Everything that the operations need, from a prepared database.

    Args:
        settings: where, and how.
        telemetry: counts what answers were made from and what they cost; by default for nobody.
        computing: where work is done beside the event loop: heavy requests are let in by how many are there. By default none
            are, and as many are let in as may be.

    Raises:
        StartError: the database holds no corpus yet, or READINESS_REQUIRES names what is no dependency.
    """
    started_at = utc_now()
    telling = telemetry or Telemetry()
    registry = Registry()
    drain = Drain(delay=settings.shutdown_drain_delay / 1000, timeout=settings.shutdown_timeout / 1000)
    async with AsyncExitStack() as stack:
        database = open_database(settings)
        stack.push_async_callback(database.close)
        hasher = Argon2Hasher(pipeline=registry.pipeline("passwords", PASSWORDS))
        stack.callback(hasher.close)
        shared = open_shared(settings, stack)
        known = await load_knowledge(database)
        model = model_parts(settings, registry, shared.tier, shared.rates)
        if model is not None:
            stack.push_async_callback(model.client.aclose)
            telling.usage.follow(model.client.get_stats)
        background = await stack.enter_async_context(Background())
        if model is not None:
            background.run("the SDK of the model", model.client.warm)
        corpus, vocabulary = known.knowledge.corpus, known.knowledge.vocabulary
        indexes = Indexes(settings, database, corpus.version, registry, shared, stack)
        spaces = await prefer(settings, known, model, database, indexes, background)
        chat = None if model is None else model.model
        assistant = None if chat is None else Assistant(chat, known.embedder.embed_now)
        work = GenerateQuestions(known.knowledge, spaces=spaces, keywords=known.keywords, assistant=assistant, now=utc_now)
        options = AnswersOptions(
            enabled=settings.cache_enabled,
            entries=settings.cache_max_size,
            size=settings.cache_bytes,
            ttl=float(settings.cache_ttl),
            stale=float(settings.cache_stale_ttl),
        )
        answers = Answers(work, options, registry=registry, on_served=telling.rungs.count)
        health = look_after(dependencies(database, known, shared, model, indexes), registry, settings, drain)
        steering = Steering(registry, SqlAuditLog(database), now=utc_now)
        await steering.begin()
        background.run("orders of administrators", steering.follow, every=LOOK_AT_ORDERS)
        limits = LimitOptions(
            requests_per_minute=settings.rate_limit_per_minute,
            logins_per_minute=settings.login_limit_per_minute,
            store=shared.rates,
        )
        waits = model is not None or settings.vector_index != "embedded"
        gate = GateOptions(first_heavy=ROOM_TO_WAIT) if waits else GateOptions()
        services = Services(
            users=SqlUserStore(database),
            reviews=SqlReviewStore(database),
            hasher=hasher,
            tokens=Tokens(jwt_secret(settings), others=settings.previous_secrets, seconds=settings.token_seconds, now=utc_now),
            generate=answers,
            at_hand=answers.at_hand,
            search=SearchIncidents(corpus, spaces=spaces, keywords=known.keywords),
            corpus=corpus,
            vocabulary=vocabulary,
            attribution=ATTRIBUTION,
            registry=registry,
            limits=Limits(limits, registry),
            gate=Gate(gate, registry, computing),
            now=utc_now,
            started_at=started_at,
            health=health,
            steering=steering,
            background=background,
            drain=drain,
        )
        await share_breakers(shared, registry, stack)
        yield services


async def prefer(
    settings: Settings, known: Known, model: ModelParts | None, database: Database, indexes: Indexes, background: Background
) -> Spaces:
    """The spaces: the local one, and above it what the settings prefer, made in the background where it takes time."""
    provider: ProviderSpace | None = None
    spaces = Spaces(known.local, waiting=lambda: "" if provider is None else provider.waiting)
    if model is not None and model.embedder is not None:
        areas = known.knowledge.catalogue.areas
        provider = ProviderSpace(model.embedder, database, spaces, indexes.make, areas, known.vectors)
        background.run("vectors of the provider", provider.build)
    elif settings.vector_index != "embedded":
        spaces.preferred = replace(known.local, index=await indexes.make(known.embedder, known.embedded))
    return spaces
