"""A client for servers of the OpenAI protocol that keeps answering. It imports the SDK when the first request is made."""

from sengol_api.adapters.openai.answers import ChatAnswer, JsonAnswer, Progress, Usage
from sengol_api.adapters.openai.caches import ANSWERS, VECTORS
from sengol_api.adapters.openai.client import OpenAIClient
from sengol_api.adapters.openai.embedder import OpenAIEmbedder
from sengol_api.adapters.openai.errors import (
    AccessDeniedError,
    BadAnswerError,
    CutAnswerError,
    FilteredRequestError,
    InvalidJsonError,
    KeyRefusedError,
    LateAnswerError,
    ModelError,
    NoSuchModelError,
    OverloadedError,
    PartialEmbeddingsError,
    QuotaError,
    RateLimitedError,
    RefusalError,
    RequestRefusedError,
    ServerFailedError,
    TooLongError,
    UnavailableError,
    UnreachableError,
)
from sengol_api.adapters.openai.model import OpenAIModel
from sengol_api.adapters.openai.options import OpenAIOptions, Provider
from sengol_api.adapters.openai.prices import Price
from sengol_api.adapters.openai.statistics import ClientStats, ModelUsage

__all__ = [
    "ANSWERS",
    "VECTORS",
    "AccessDeniedError",
    "BadAnswerError",
    "ChatAnswer",
    "ClientStats",
    "CutAnswerError",
    "FilteredRequestError",
    "InvalidJsonError",
    "JsonAnswer",
    "KeyRefusedError",
    "LateAnswerError",
    "ModelError",
    "ModelUsage",
    "NoSuchModelError",
    "OpenAIClient",
    "OpenAIEmbedder",
    "OpenAIModel",
    "OpenAIOptions",
    "OverloadedError",
    "PartialEmbeddingsError",
    "Price",
    "Progress",
    "Provider",
    "QuotaError",
    "RateLimitedError",
    "RefusalError",
    "RequestRefusedError",
    "ServerFailedError",
    "TooLongError",
    "UnavailableError",
    "UnreachableError",
    "Usage",
]
