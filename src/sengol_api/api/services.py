"""What the operations are given: the use cases and stores of one process, made in one place and typed."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from sengol_api.api.tokens import Tokens
from sengol_api.resilience import Registry
from sengol_api.review.corpus import Corpus
from sengol_api.review.generate import Answerer
from sengol_api.review.ports import PasswordHasher, ReviewStore, UserStore
from sengol_api.review.search import SearchIncidents
from sengol_api.review.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiOptions:
    """What the HTTP face can be told.

    Attributes:
        request_timeout: milliseconds that a request may take; a client can only shorten it.
        slow_request: milliseconds from which a request is logged as slow.
        origins: origins of browsers that may call; ``*`` for any.
    """

    request_timeout: int = 120_000
    slow_request: int = 5000
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that a handler may use; ``registry`` has the pipelines of this process."""

    users: UserStore
    reviews: ReviewStore
    hasher: PasswordHasher
    tokens: Tokens
    generate: Answerer
    search: SearchIncidents
    corpus: Corpus
    vocabulary: Vocabulary
    attribution: str
    registry: Registry
    now: Callable[[], dt.datetime]
    started_at: dt.datetime
