"""Options of the client, and its providers: who is asked, and in which order."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from sengol_api.adapters.openai.prices import Price
from sengol_api.adapters.openai.secret import Secret
from sengol_api.adapters.openai.tokens import estimate_tokens
from sengol_api.resilience import AdaptiveTimeout, Bulkhead, CircuitBreaker, Hedge
from sengol_api.resilience.options import FUNCTION, Allowed, Options, above, at_least, between, instance, one_of, option, whole

OPENAI: Final = "https://api.openai.com/v1"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_TEXT = Allowed("a text", lambda value: isinstance(value, str) and value.isprintable() and len(value) <= 200)
_NAMED = Allowed(
    "1 to 32 small letters, digits, - and _", lambda value: isinstance(value, str) and _NAME.fullmatch(value) is not None
)
_KEY = Allowed(
    "printable ASCII without blanks",
    lambda value: isinstance(value, Secret) and re.fullmatch(r"[!-~]{0,4096}", value.reveal()) is not None,
)
_URL = Allowed(
    "an http or https address, without user, password, query or fragment; empty: OpenAI's", lambda value: isinstance(value, str)
)


_JSON = one_of("json_schema", "json_object", "words")


@dataclass(frozen=True, kw_only=True)
class Provider(Options):
    """Someone who serves the OpenAI protocol."""

    name: str = option(..., _NAMED, "what it is called in answers, errors and names of pipelines")
    base_url: str = option("", _URL, "address of the API, with its version (`/v1`); empty: OpenAI's")
    api_key: Secret | str = field(
        default="",
        metadata={"allowed": _KEY, "meaning": "key; empty for a server that asks for none", "unit": ""},
    )
    model: str = option("", _TEXT, "chat model; empty: it serves no chat")
    embedding_model: str = option(
        "", _TEXT, "embedding model; empty: it serves no embeddings, and nor does a fallback whose model is not that of the first"
    )
    json_form: str = option("json_schema", _JSON, "how it is asked for JSON: in the form that it knows")
    organization: str = option("", _TEXT, "organization of the key, for accounts in several")
    project: str = option("", _TEXT, "project of the key, for accounts in several")
    sdk: Any = field(
        default=None,
        repr=False,
        compare=False,
        metadata={
            "allowed": Allowed("an openai.AsyncOpenAI, or None", lambda value: value is None or hasattr(value, "with_options")),
            "meaning": "a configured SDK client of your own, which keeps its address, key and timeouts; you close it",
            "unit": "",
        },
    )

    def __post_init__(self) -> None:
        """Hide the key before anything can show it."""
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", Secret(self.api_key))
        super().__post_init__()

    def contradictions(self) -> Iterator[str]:
        """The address can be called, and somebody who asks for a key gets one."""
        yield from _problems_of_url(self.base_url)
        if not self.api_key and not self.base_url and self.sdk is None:
            yield "api_key is empty, and OpenAI answers nobody without: set OPENAI_API_KEY, or base_url for one without keys"
        if not self.model and not self.embedding_model:
            yield "model and embedding_model are both empty: there is nothing to ask it for"

    @property
    def key(self) -> str:
        """The key as it is sent; a server that asks for none gets a word in its place, since the SDK insists."""
        return self.api_key.reveal() or "none" if isinstance(self.api_key, Secret) else self.api_key

    @property
    def url(self) -> str:
        """Where it is called."""
        return str(self.sdk.base_url) if self.sdk is not None else self.base_url or OPENAI

    @property
    def account(self) -> tuple[str, str]:
        """Whose quota it spends: providers with the same key at the same address share it."""
        key = self.sdk.api_key if self.sdk is not None else self.key
        return self.url, str(key)


def _problems_of_url(url: str) -> Iterator[str]:
    """What is wrong with an address. The address itself is not shown: it may hold a password."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not url.isascii() or not url.isprintable() or " " in url:
        yield "base_url takes an http or https address with a host, like https://api.example.com/v1"
    elif parts.username or parts.password or parts.query or parts.fragment:
        yield "base_url takes no user, password, query or fragment: the key goes into api_key"


_PROVIDERS = Allowed(
    "Providers with names of their own",
    lambda value: isinstance(value, tuple) and all(isinstance(each, Provider) for each in value),
)
_PRICES = Allowed(
    "Prices by the name of the model",
    lambda value: isinstance(value, Mapping) and all(isinstance(each, Price) for each in value.values()),
)


@dataclass(frozen=True, kw_only=True)
class OpenAIOptions(Options):
    """Options of :class:`~sengol_api.adapters.openai.OpenAIClient`."""

    api_key: Secret | str = field(
        default="",
        metadata={"allowed": _KEY, "meaning": "key of the first provider; empty for a server that asks for none", "unit": ""},
    )
    base_url: str = option("", _URL, "address of the first provider; empty: OpenAI's")
    model: str = option("gpt-4o", _TEXT, "its chat model")
    embedding_model: str = option("text-embedding-3-small", _TEXT, "its embedding model")
    json_form: str = option("json_schema", _JSON, "how it is asked for JSON: in the form that it knows")
    organization: str = option("", _TEXT, "organization of its key, for accounts in several")
    project: str = option("", _TEXT, "project of its key, for accounts in several")
    provider: str = option("primary", _NAMED, "what the first provider is called")
    fallbacks: tuple[Provider, ...] = option(
        (), _PROVIDERS, "further providers, asked in this order when those before have no answer"
    )
    timeout: float = option(60.0, above(0), "how long one attempt may take, from its first byte to the last", "s")
    adaptive: AdaptiveTimeout | None = option(
        None,
        instance(AdaptiveTimeout).or_none(),
        "a shorter limit, which follows what answers took of late; for chat, and embeddings of a few texts. None: timeout alone",
    )
    max_retries: int = option(3, whole(0, 20), "further attempts at a provider")
    max_wait: float = option(
        60.0,
        at_least(0),
        "longest wait that a provider may ask for, and for a turn in its budget; above it the call fails at once",
        "s",
    )
    reserve: float = option(0.3, between(0.0, 0.9), "share of the caller's deadline that is kept for the providers further down")
    breaker: CircuitBreaker = option(
        CircuitBreaker(), instance(CircuitBreaker), "when a provider, or a key, is left alone, and for how long"
    )
    bulkhead: Bulkhead = option(Bulkhead(), instance(Bulkhead), "how many requests of a kind may be under way at a provider")
    hedge: Hedge | None = option(
        None, instance(Hedge).or_none(), "a second request for one that takes unusually long; it is billed, so None: never"
    )
    fallback_ttl: float = option(
        300.0,
        at_least(0),
        "how long an answer of another than the first provider is kept, at most; the first may be back soon",
        "s",
    )
    dimensions: int | None = option(None, whole(1, 100_000).or_none(), "numbers of a vector; None: as many as the model gives")
    max_inputs: int = option(2048, whole(1), "texts in one embedding request")
    max_input_tokens: int = option(8191, whole(16), "tokens of one text; a longer one is embedded in parts", "tokens")
    max_request_tokens: int = option(300_000, whole(16), "tokens of all texts in one embedding request", "tokens")
    count_tokens: Callable[[str], int] = option(
        estimate_tokens, FUNCTION, "tokens of a text; the default estimates, as no tokenizer is at hand"
    )
    prices: Mapping[str, Price] | None = option(
        None, _PRICES.or_none(), "prices of models, beside and in place of those in the table"
    )
    name: str = option("openai", _NAMED, "what the names of its pipelines begin with")

    def __post_init__(self) -> None:
        """Hide the key before anything can show it."""
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", Secret(self.api_key))
        super().__post_init__()

    def contradictions(self) -> Iterator[str]:
        """Providers differ in their names, a text fits into a request, and there is time for the first provider."""
        names = [self.provider, *(each.name for each in self.fallbacks)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"two providers are called {', '.join(twice)}: give each a name of its own"
        if self.max_input_tokens > self.max_request_tokens:
            yield f"max_input_tokens={self.max_input_tokens} is above max_request_tokens={self.max_request_tokens}, it must not be"

    def chain(self, sdk: Any = None) -> tuple[Provider, ...]:  # noqa: ANN401 - the SDK is not imported here
        """All providers in their order.

        Args:
            sdk: a configured client of the caller's for the first.

        Raises:
            OptionsError: the first provider cannot be asked for anything.
        """
        first = Provider(
            name=self.provider,
            base_url=self.base_url,
            api_key=self.api_key,
            model=self.model,
            embedding_model=self.embedding_model,
            json_form=self.json_form,
            organization=self.organization,
            project=self.project,
            sdk=sdk,
        )
        return (first, *self.fallbacks)
