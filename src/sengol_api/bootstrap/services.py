"""Everything that the operations need, wired."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sengol_api.adapters.answers import Answers, AnswersOptions
from sengol_api.adapters.argon2_hasher import Argon2Hasher
from sengol_api.adapters.bm25_index import Bm25Index
from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.api.services import Services
from sengol_api.api.tokens import Tokens
from sengol_api.bootstrap.corpus import ATTRIBUTION
from sengol_api.bootstrap.database import open_database, utc_now
from sengol_api.data_dir import StartError, jwt_secret
from sengol_api.resilience import Registry
from sengol_api.review.corpus import Corpus
from sengol_api.review.generate import GenerateQuestions
from sengol_api.review.generate import prepare as prepare_knowledge
from sengol_api.review.retrieval import MEASURED
from sengol_api.review.search import SearchIncidents
from sengol_api.review.space import Spaces, make_space
from sengol_api.settings import Settings


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Everything that the operations need, from a prepared database.

    Raises:
        StartError: the database holds no corpus yet.
    """
    started_at = utc_now()
    registry = Registry()
    async with AsyncExitStack() as stack:
        database = open_database(settings)
        stack.push_async_callback(database.close)
        hasher = Argon2Hasher()
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
        yield Services(
            users=SqlUserStore(database),
            reviews=SqlReviewStore(database),
            hasher=hasher,
            tokens=Tokens(jwt_secret(settings), seconds=settings.token_seconds, now=utc_now),
            generate=Answers(work, options, registry=registry),
            search=SearchIncidents(corpus, spaces=spaces, keywords=keywords),
            corpus=corpus,
            vocabulary=vocabulary,
            attribution=ATTRIBUTION,
            registry=registry,
            now=utc_now,
            started_at=started_at,
        )
