"""The client of d-vecDB, usable by itself in any asyncio program, and the ``VectorIndex`` over it."""

from sengol_api.adapters.dvecdb.client import DvecdbClient
from sengol_api.adapters.dvecdb.errors import (
    AnswerTooLarge,
    Busy,
    CollectionExists,
    CollectionMissing,
    DvecdbError,
    EmbeddingFailed,
    IndexNotReady,
    IndexRebuilding,
    InvalidVector,
    RequestRefused,
    ServerUnavailable,
    UnusableAnswer,
)
from sengol_api.adapters.dvecdb.filters import Filter
from sengol_api.adapters.dvecdb.index import DvecdbIndex
from sengol_api.adapters.dvecdb.names import key_of
from sengol_api.adapters.dvecdb.options import DvecdbOptions
from sengol_api.adapters.dvecdb.ping import ping
from sengol_api.adapters.dvecdb.records import Batch, Change, InMemoryRecords, Item, Records, ResolvingRecords, WritableRecords
from sengol_api.adapters.dvecdb.results import SearchResult, Written

__all__ = [
    "AnswerTooLarge",
    "Batch",
    "Busy",
    "Change",
    "CollectionExists",
    "CollectionMissing",
    "DvecdbClient",
    "DvecdbError",
    "DvecdbIndex",
    "DvecdbOptions",
    "EmbeddingFailed",
    "Filter",
    "InMemoryRecords",
    "IndexNotReady",
    "IndexRebuilding",
    "InvalidVector",
    "Item",
    "Records",
    "RequestRefused",
    "ResolvingRecords",
    "SearchResult",
    "ServerUnavailable",
    "UnusableAnswer",
    "WritableRecords",
    "Written",
    "key_of",
    "ping",
]
