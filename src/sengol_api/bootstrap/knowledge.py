"""What is known before any request: the corpus, its indexes, and the local space."""

import asyncio
from dataclasses import dataclass

from sengol_api.adapters.bm25_index import Bm25Index
from sengol_api.adapters.catalogue_files import load_catalogue, load_vocabulary
from sengol_api.adapters.exact_index import ExactIndex
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.bootstrap.database import utc_now
from sengol_api.data_dir import StartError
from sengol_api.review.corpus import Corpus
from sengol_api.review.evidence import Knowledge, prepare
from sengol_api.review.ports import KeywordIndex, Vectors
from sengol_api.review.retrieval import MEASURED
from sengol_api.review.space import Space, make_space


@dataclass(frozen=True, slots=True)
class Known:
    """The corpus in this process.

    Attributes:
        embedder: the local one.
        embedded: exact index of its vectors.
        vectors: of all incidents, sorted by id, shape (incidents, dimension).
    """

    knowledge: Knowledge
    keywords: KeywordIndex
    embedder: WordLlamaEmbedder
    embedded: ExactIndex
    vectors: Vectors
    local: Space


async def load_knowledge(database: Database) -> Known:
    """Read the corpus and index it.

    Raises:
        StartError: the database holds no corpus yet.
    """
    embedder = WordLlamaEmbedder()
    warming = asyncio.create_task(asyncio.to_thread(embedder.warm))  # while the corpus is read and indexed
    stored = await SqlIncidentStore(database, embedder, now=utc_now).load()
    if not stored.incidents:
        await warming
        raise StartError("The database holds no incidents. Start with «sengol-api serve», which loads them.")
    corpus = Corpus(stored.incidents, version=stored.version)
    ids = [incident.id for incident in stored.incidents]
    keywords = Bm25Index(ids, (incident.searchable for incident in stored.incidents))
    await warming
    catalogue, vocabulary = load_catalogue(), load_vocabulary()
    embedded = ExactIndex(ids, stored.vectors)
    local = await make_space(catalogue.areas, embedder, embedded, MEASURED)
    knowledge = await prepare(catalogue, vocabulary, corpus, local)
    return Known(knowledge, keywords, embedder, embedded, stored.vectors, local)
