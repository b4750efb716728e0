"""The one place that wires: settings in, services out."""

import asyncio
import datetime as dt
import gc
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from sengol_api.adapters.argon2_hasher import LIMIT as PASSWORDS
from sengol_api.adapters.argon2_hasher import Argon2Hasher
from sengol_api.adapters.bm25_index import Bm25Index
from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.corpus import genai, own
from sengol_api.adapters.corpus.ingestion import ORIGIN as INGESTED
from sengol_api.adapters.corpus.ingestion import Report, Reporter, Silent, ingest_files
from sengol_api.adapters.corpus.readers import Format
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.memory_cache import MemoryCache
from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.schema import migrate
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.api.app import create_app
from sengol_api.api.services import ApiOptions, Services
from sengol_api.api.tokens import Tokens
from sengol_api.data_dir import StartError, alone, ensure_data_dir, jwt_secret
from sengol_api.observability.logging import configure as configure_logging
from sengol_api.observability.progress import progress_bar
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Dependency, Health
from sengol_api.ops.signals import drains_on_sigterm
from sengol_api.ops.steering import INTERVAL as LOOK_AT_ORDERS
from sengol_api.ops.steering import Steering
from sengol_api.ops.watchdog import LoopWatch
from sengol_api.resilience import Registry
from sengol_api.review.corpus import Corpus
from sengol_api.review.errors import AppError, DatabaseError
from sengol_api.review.generate import GenerateQuestions
from sengol_api.review.generate import prepare as prepare_knowledge
from sengol_api.review.incident import Incident
from sengol_api.review.search import SearchIncidents
from sengol_api.settings import Settings, load

_log = logging.getLogger(__name__)

ATTRIBUTION: Final = f"{genai.ATTRIBUTION}. Cyber, cloud and compliance incidents: facts from the sources that they name"


@dataclass(frozen=True, slots=True)
class Origin:
    """A part of the corpus that comes with the installation."""

    name: str
    version: str
    read: Callable[[], Iterable[Incident]]


def origins() -> tuple[Origin, ...]:
    """The parts of the corpus."""
    return (
        Origin(genai.ORIGIN, genai.corpus_version(), lambda: genai.read_genai(load_vocabulary())),
        Origin(own.ORIGIN, own.corpus_version(), own.read_own),
    )


def utc_now() -> dt.datetime:
    """The present moment."""
    return dt.datetime.now(dt.UTC)


def open_database(settings: Settings) -> Database:
    """The database of the settings.

    Raises:
        StartError: the URL or the data directory cannot be used.
    """
    ensure_data_dir(settings)
    try:
        return Database(settings.database)
    except ValueError as error:
        raise StartError(f"DATABASE_URL: {error}") from None


async def prepare(settings: Settings, reporter: Reporter | None = None) -> Mapping[str, Change]:
    """Bring schema and corpus up to date. Nothing is served yet, so it may block; of several workers one does the work.

    Args:
        settings: where.
        reporter: is told how the work goes on.

    Returns:
        What was done, by origin; empty when all was up to date.
    """
    database = open_database(settings)
    try:
        with alone(ensure_data_dir(settings)):
            await migrate(database)
            return await _load_stale(database, reporter or Silent())
    finally:
        await database.close()


async def _load_stale(database: Database, reporter: Reporter) -> dict[str, Change]:
    """Load the origins whose version is not the stored one, and embed again what another embedder left of the users' own."""
    embedder = WordLlamaEmbedder()
    store = SqlIncidentStore(database, embedder, now=utc_now)
    stored = await store.versions()
    wanted = {origin.name: f"{origin.version}/{embedder.name}" for origin in origins()}
    stale = [origin for origin in origins() if stored.get(origin.name) != wanted[origin.name]]
    done = {}
    for origin in stale:
        incidents = list(origin.read())
        reporter.begin(origin.name, len(incidents))
        done[origin.name] = await store.put(
            origin.name, incidents, version=wanted[origin.name], remove_others=True, on_progress=reporter.advance
        )
    renewed = await store.embed_again(INGESTED)
    return {**done, INGESTED: renewed} if renewed.changed else done


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything that the operations need, from a prepared database.

    Raises:
        StartError: the database holds no corpus yet, or READINESS_REQUIRES names what is no dependency.
    """
    started_at = utc_now()
    registry = Registry()
    drain = Drain(delay=settings.shutdown_drain_delay / 1000, timeout=settings.shutdown_timeout / 1000)
    database = open_database(settings)
    hasher = Argon2Hasher(pipeline=registry.pipeline("passwords", PASSWORDS))
    background = Background()
    try:
        embedder = WordLlamaEmbedder()
        warming = asyncio.create_task(asyncio.to_thread(embedder.warm))  # while the corpus is read and indexed
        stored = await SqlIncidentStore(database, embedder, now=utc_now).load()
        if not stored.incidents:
            raise StartError("The database holds no incidents. Start with «sengol-api serve», which loads them.")
        corpus = Corpus(stored.incidents, version=stored.version)
        ids = [incident.id for incident in stored.incidents]
        index = ExactIndex(ids, stored.vectors)
        keywords = Bm25Index(ids, (incident.searchable for incident in stored.incidents))
        await warming
        vocabulary = load_vocabulary()
        knowledge = await prepare_knowledge(load_catalogue(), vocabulary, corpus, embedder, index)
        cache = MemoryCache(max_entries=settings.cache_max_size, ttl=settings.cache_ttl) if settings.cache_enabled else None
        dependencies = [
            Dependency(name="database", check=database.ping),
            Dependency(name="embedder", check=partial(embedder.embed, ["well?"])),
        ]
        health = look_after(dependencies, registry, settings, drain)
        steering = Steering(registry, SqlAuditLog(database), now=utc_now)
        await steering.begin()
        background.run("orders of administrators", steering.follow, every=LOOK_AT_ORDERS)
        yield Services(
            users=SqlUserStore(database),
            reviews=SqlReviewStore(database),
            hasher=hasher,
            tokens=Tokens(jwt_secret(settings), others=settings.previous_secrets, seconds=settings.token_seconds, now=utc_now),
            generate=GenerateQuestions(knowledge, embedder=embedder, index=index, keywords=keywords, cache=cache, now=utc_now),
            search=SearchIncidents(corpus, embedder=embedder, index=index, keywords=keywords),
            corpus=corpus,
            vocabulary=vocabulary,
            attribution=ATTRIBUTION,
            now=utc_now,
            started_at=started_at,
            registry=registry,
            health=health,
            steering=steering,
            background=background,
            drain=drain,
        )
    finally:
        await background.stop()
        hasher.close()
        await database.close()


def look_after(dependencies: Iterable[Dependency], registry: Registry, settings: Settings, drain: Drain) -> Health:
    """The health of the dependencies.

    Raises:
        StartError: READINESS_REQUIRES names what is no dependency.
    """
    try:
        return Health(dependencies, registry, required=settings.required, closed=lambda: drain.why_not_ready)
    except ValueError as error:
        raise StartError(f"READINESS_REQUIRES: {error}") from None


def start_failure(settings: Settings, error: DatabaseError) -> str:
    """Which database cannot be used, and why, for the operator; neither holds a password."""
    where = Database(settings.database).shown_url
    return f"the database {where} cannot be used: {_said(error)}. Repair it, or choose another by DATABASE_URL or --data-dir."


def _said(error: AppError) -> str:
    """What the database itself said, on one line."""
    cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
    return " ".join(str(cause).split())


def api_options(settings: Settings) -> ApiOptions:
    """What the HTTP face is told."""
    return ApiOptions(
        request_timeout=settings.request_timeout,
        slow_request=settings.slow_request_ms,
        origins=settings.origins,
        hsts_seconds=settings.hsts_seconds,
    )


def application(*, supervised: bool = False) -> ASGIApp:
    """The ASGI application of the environment's settings: what a worker process of a server loads.

    Starting up brings schema and corpus up to date and loads the corpus; a start that cannot be says why in one line.

    Args:
        supervised: a parent starts another process when this one ends, and decides alone what a second signal means.
    """
    settings = load()
    configure_logging(settings.log_level, settings.log_format)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        try:
            with progress_bar() as bar:
                await prepare(settings, bar)
            async with open_services(settings) as services:
                # The corpus lives as long as the process: the collector need not look at it again and again.
                gc.collect()
                gc.freeze()
                drains_on_sigterm(services.drain, again=(lambda: None) if supervised else None)
                if supervised:
                    LoopWatch(asyncio.get_running_loop()).start()
                yield services
        except (StartError, AppError, RuntimeError) as error:
            # Nothing is open yet: leaving at once keeps this line from drowning in the server's tracebacks.
            _log.critical("cannot start: %s", start_failure(settings, error) if isinstance(error, DatabaseError) else error)
            os._exit(2)

    return create_app(opened, api_options(settings))


async def ingest(settings: Settings, files: Sequence[Path], kind: Format | None, reporter: Reporter) -> Report:
    """Add the incidents of files to the corpus.

    Raises:
        IngestError: a file's format is not known.
    """
    database = open_database(settings)
    try:
        with alone(ensure_data_dir(settings)):
            await migrate(database)
            store = SqlIncidentStore(database, WordLlamaEmbedder(), now=utc_now)
            return await ingest_files(store, files, kind, vocabulary=load_vocabulary(), today=utc_now().date(), reporter=reporter)
    finally:
        await database.close()


async def probe(settings: Settings) -> dict[str, tuple[bool, str]]:
    """Whether each dependency answers, and what it says."""
    answers: dict[str, tuple[bool, str]] = {}
    database = open_database(settings)
    try:
        versions = await SqlIncidentStore(database, WordLlamaEmbedder(), now=utc_now).versions()
        answers["database"] = (True, database.shown_url)
        loaded = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        answers["corpus"] = (True, loaded) if versions else (False, "not loaded yet; «sengol-api serve» loads it")
    except AppError as error:
        await _explain_database(database, answers, error)
    finally:
        await database.close()
    try:
        embedder = WordLlamaEmbedder()
        embedder.warm()
        answers["embedder"] = (True, embedder.name)
    except (RuntimeError, OSError) as error:
        answers["embedder"] = (False, str(error))
    return answers


async def _explain_database(database: Database, answers: dict[str, tuple[bool, str]], error: AppError) -> None:
    try:
        await database.ping()
        answers["database"] = (True, f"{database.shown_url}, without our tables yet; «sengol-api serve» makes them")
    except AppError:
        answers["database"] = (False, f"{database.shown_url}: {_said(error)}")
