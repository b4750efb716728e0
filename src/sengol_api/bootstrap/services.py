"""Everything that the operations need, wired."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from sengol_api.adapters.answers import Answers, AnswersOptions
from sengol_api.adapters.argon2_hasher import LIMIT as PASSWORDS
from sengol_api.adapters.argon2_hasher import Argon2Hasher
from sengol_api.adapters.bm25_index import Bm25Index
from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.api.gate import Gate, GateOptions
from sengol_api.api.limits import LimitOptions, Limits
from sengol_api.api.services import Services
from sengol_api.api.tokens import Tokens
from sengol_api.bootstrap.corpus import ATTRIBUTION
from sengol_api.bootstrap.database import open_database, utc_now
from sengol_api.data_dir import StartError, jwt_secret
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Dependency, Health
from sengol_api.ops.steering import INTERVAL as LOOK_AT_ORDERS
from sengol_api.ops.steering import Steering
from sengol_api.resilience import Registry
from sengol_api.review.corpus import Corpus
from sengol_api.review.generate import GenerateQuestions
from sengol_api.review.generate import prepare as prepare_knowledge
from sengol_api.review.retrieval import MEASURED
from sengol_api.review.search import SearchIncidents
from sengol_api.review.space import Spaces, make_space
from sengol_api.settings import Settings

OnServed = Callable[[str, str], None]


def _untold(_dependency: str, _rung: str) -> None:
    """Nobody counts."""


@asynccontextmanager
async def open_services(settings: Settings, on_served: OnServed = _untold) -> AsyncIterator[Services]:
    """Everything that the operations need, from a prepared database.

    Args:
        settings: where, and how.
        on_served: is told of each rung that an answer was made from: dependency, rung.

    Raises:
        StartError: the database holds no corpus yet, or READINESS_REQUIRES names what is no dependency.
    """
    started_at = utc_now()
    registry = Registry()
    drain = Drain(delay=settings.shutdown_drain_delay / 1000, timeout=settings.shutdown_timeout / 1000)
    async with AsyncExitStack() as stack:
        database = open_database(settings)
        stack.push_async_callback(database.close)
        hasher = Argon2Hasher(pipeline=registry.pipeline("passwords", PASSWORDS))
        stack.callback(hasher.close)
        embedder = WordLlamaEmbedder()
        warming = asyncio.create_task(asyncio.to_thread(embedder.warm))  # while the corpus is read and indexed
        stored = await SqlIncidentStore(database, embedder, now=utc_now).load()
        if not stored.incidents:
            raise StartError("The database holds no incidents. Start with «sengol-api serve», which loads them.")
        corpus = Corpus(stored.incidents, version=stored.version)
        ids = [incident.id for incident in stored.incidents]
        keywords = Bm25Index(ids, (incident.searchable for incident in stored.incidents))
        await warming
        catalogue, vocabulary = load_catalogue(), load_vocabulary()
        local = await make_space(catalogue.areas, embedder, ExactIndex(ids, stored.vectors), MEASURED)
        knowledge = await prepare_knowledge(catalogue, vocabulary, corpus, local)
        spaces = Spaces(local)
        work = GenerateQuestions(knowledge, spaces=spaces, keywords=keywords, now=utc_now)
        options = AnswersOptions(enabled=settings.cache_enabled, entries=settings.cache_max_size, ttl=settings.cache_ttl)
        answers = Answers(work, options, registry=registry, on_served=on_served)
        dependencies = [
            Dependency(name="database", check=database.ping),
            Dependency(name="embedder", check=partial(embedder.embed, ["well?"])),
        ]
        health = look_after(dependencies, registry, settings, drain)
        background = await stack.enter_async_context(Background())
        steering = Steering(registry, SqlAuditLog(database), now=utc_now)
        await steering.begin()
        background.run("orders of administrators", steering.follow, every=LOOK_AT_ORDERS)
        yield Services(
            users=SqlUserStore(database),
            reviews=SqlReviewStore(database),
            hasher=hasher,
            tokens=Tokens(jwt_secret(settings), others=settings.previous_secrets, seconds=settings.token_seconds, now=utc_now),
            generate=answers,
            search=SearchIncidents(corpus, spaces=spaces, keywords=keywords),
            corpus=corpus,
            vocabulary=vocabulary,
            attribution=ATTRIBUTION,
            registry=registry,
            limits=Limits(
                LimitOptions(requests_per_minute=settings.rate_limit_per_minute, logins_per_minute=settings.login_limit_per_minute),
                registry,
            ),
            gate=Gate(GateOptions(), registry),
            now=utc_now,
            started_at=started_at,
            health=health,
            steering=steering,
            background=background,
            drain=drain,
        )


def look_after(dependencies: Iterable[Dependency], registry: Registry, settings: Settings, drain: Drain) -> Health:
    """The health of the dependencies.

    Raises:
        StartError: READINESS_REQUIRES names what is no dependency.
    """
    try:
        return Health(dependencies, registry, required=settings.required, closed=lambda: drain.why_not_ready)
    except ValueError as error:
        raise StartError(f"READINESS_REQUIRES: {error}") from None
