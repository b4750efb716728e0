"""What the operations are given: the use cases and stores of one process, made in one place and typed."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from sengol_api.api.addresses import Network
from sengol_api.api.gate import Gate
from sengol_api.api.limits import Limits
from sengol_api.api.tokens import Tokens
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Health
from sengol_api.ops.steering import Steering
from sengol_api.resilience import Registry
from sengol_api.review.corpus import Corpus
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.generated import Answerer
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
        hsts_seconds: how long browsers shall use nothing but TLS for this host; 0 does not say so.
        trusted_proxies: proxies whose X-Forwarded-For is believed.
    """

    request_timeout: int = 120_000
    slow_request: int = 5000
    origins: tuple[str, ...] = ()
    hsts_seconds: int = 0
    trusted_proxies: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that a handler may use.

    Attributes:
        at_hand: whether the answer to a request is kept in this process, so that ``generate`` would give it at once.
        registry: the pipelines of this process.
    """

    users: UserStore
    reviews: ReviewStore
    hasher: PasswordHasher
    tokens: Tokens
    generate: Answerer
    at_hand: Callable[[ReviewRequest], bool]
    search: SearchIncidents
    corpus: Corpus
    vocabulary: Vocabulary
    attribution: str
    registry: Registry
    limits: Limits
    gate: Gate
    now: Callable[[], dt.datetime]
    started_at: dt.datetime
    health: Health
    steering: Steering
    background: Background
    drain: Drain
