"""Whether each dependency answers: for ``sengol-api check``."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from sengol_api.adapters.dvecdb import ping
from sengol_api.adapters.pgvector.table import extension
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.valkey.errors import ValkeyError
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.bootstrap.database import open_database, said, utc_now
from sengol_api.bootstrap.index import DVECDB, PGVECTOR
from sengol_api.bootstrap.model import model_parts
from sengol_api.bootstrap.shared import open_shared
from sengol_api.resilience import Registry
from sengol_api.review.errors import AppError, DatabaseError, VectorDBError
from sengol_api.settings import Settings

PATIENCE: Final = 5.0
"""Seconds for a server that takes a question and says nothing."""


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
    if settings.vector_index == DVECDB:
        answers[DVECDB] = await _dvecdb(settings)
    if settings.vector_index == PGVECTOR:
        answers[PGVECTOR] = await _pgvector(settings)
    if settings.redis_url:
        answers["valkey"] = await _valkey(settings)
    if settings.openai_api_key or settings.openai_base_url:
        answers["openai"] = await _model(settings)
    return answers


async def _dvecdb(settings: Settings) -> tuple[bool, str]:
    where = f"{settings.dvecdb_host}:{settings.dvecdb_port}"
    try:
        async with asyncio.timeout(PATIENCE):
            await ping(settings.dvecdb_host, settings.dvecdb_port)
    except TimeoutError:
        return False, f"{where}: no answer within {PATIENCE:g} s"
    except VectorDBError as error:
        return False, f"{where}: {error.message}"
    return True, where


async def _pgvector(settings: Settings) -> tuple[bool, str]:
    database = open_database(settings)
    try:
        found = await extension(database)
    except VectorDBError as error:
        return False, error.message
    except DatabaseError:
        return False, "see database"
    finally:
        await database.close()
    return True, f"pgvector {found.version}" + ("" if found.installed else ", which «sengol-api serve» creates")


async def _valkey(settings: Settings) -> tuple[bool, str]:
    async with AsyncExitStack() as stack:
        client = open_shared(settings, stack).client
        if client is None:
            return False, "no address"
        try:
            await client.ping()
        except ValkeyError as error:
            return False, f"{client.shown_url}: {error}"
        return True, client.shown_url


async def _model(settings: Settings) -> tuple[bool, str]:
    """By the shortest question there is: it shows whether key and model are right."""
    parts = model_parts(settings, Registry(), None, None)
    if parts is None:
        return False, "no key"
    client = parts.client
    try:
        if client.model:
            question = [{"role": "user", "content": "Answer with the word: ok"}]
            answer = await client.chat_completion(question, temperature=None, use_cache=False, timeout=10, max_retries=0)
            return True, answer.model
        await client.generate_embedding("ok", use_cache=False, timeout=10, max_retries=0)
    except AppError as error:
        return False, error.message
    else:
        return True, client.embedding_model
    finally:
        await client.aclose()


async def _explain_database(database: Database, answers: dict[str, tuple[bool, str]], error: AppError) -> None:
    try:
        await database.ping()
        answers["database"] = (True, f"{database.shown_url}, without our tables yet; «sengol-api serve» makes them")
    except AppError:
        answers["database"] = (False, f"{database.shown_url}: {said(error)}")
