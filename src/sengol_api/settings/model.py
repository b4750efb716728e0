"""Every setting, with its default, its range and what it is for."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from sengol_api.validation import END, matching

Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _about(text: str, unit: str = "", *, secret: bool = False) -> Any:  # noqa: ANN401 - msgspec.Meta
    return Meta(description=text, extra={"unit": unit, "secret": secret})


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper, forbid_unknown_fields=True):
    """Every setting with its default."""

    host: Annotated[str, Meta(min_length=1), _about("address to listen on")] = "127.0.0.1"
    port: Annotated[Annotated[int, Meta(ge=0, le=65_535)], _about("port to listen on; 0 for any free one")] = 4000
    environment: Annotated[
        Literal["development", "test", "production"], _about("production refuses to start without a JWT_SECRET")
    ] = "development"
    data_dir: Annotated[str, Meta(min_length=1), _about("folder for the embedded database and the development secret")] = "./var"
    database_url: Annotated[
        str, _about("sqlite:///path or postgresql://user:password@host/name; empty: SQLite in DATA_DIR", secret=True)
    ] = ""
    database_pool_size: Annotated[
        Annotated[int, Meta(ge=1, le=1000)], _about("most connections of one worker to PostgreSQL; three more ask for its health")
    ] = 20
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _about("least level that is logged")] = "info"
    log_format: Annotated[Literal["auto", "json", "console"], _about("auto: console on a terminal, else json")] = "auto"

    jwt_secret: Annotated[
        str,
        _about("key of the tokens, at least 32 characters; empty in development: made and kept in DATA_DIR", secret=True),
    ] = ""
    jwt_previous_secrets: Annotated[
        str, _about("keys that only check tokens, with commas between: the last one, or the one to come", secret=True)
    ] = ""
    jwt_expires_in: Annotated[
        str, matching(r"^[1-9][0-9]{0,6}[smhd]" + END, "a number with s, m, h or d: 30m, 12h, 7d"), _about("life of a token")
    ] = "7d"
    allowed_origins: Annotated[str, _about("origins of browsers that may call, with commas between; * for any; empty: none")] = ""
    hsts_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=63_072_000)], _about("Strict-Transport-Security, where TLS ends before us; 0: not sent", "s")
    ] = 0
    trusted_proxies: Annotated[
        str, _about("addresses or networks (10.0.0.0/8, ::1) of proxies whose X-Forwarded-For is believed, with commas between")
    ] = ""

    request_timeout: Annotated[Milliseconds, _about("total time of a request; health routes are exempt", "ms")] = 120_000
    shutdown_timeout: Annotated[Milliseconds, _about("time that requests in flight have to finish on SIGTERM", "ms")] = 30_000
    shutdown_drain_delay: Annotated[
        Annotated[int, Meta(ge=0, le=600_000)], _about("time between not ready and the end of listening", "ms")
    ] = 0
    header_timeout: Annotated[
        Annotated[int, Meta(ge=100, le=600_000)], _about("time for the head of a request; an idle connection is kept as long", "ms")
    ] = 30_000
    slow_request_ms: Annotated[Milliseconds, _about("requests that take longer are logged as slow", "ms")] = 5000
    rate_limit_per_minute: Annotated[
        Annotated[int, Meta(ge=1)], _about("requests per minute of a user, or of an address without a valid token")
    ] = 100
    login_limit_per_minute: Annotated[
        Annotated[int, Meta(ge=1)], _about("attempts per minute of an address to log in or register")
    ] = 10
    readiness_requires: Annotated[str, _about("dependencies without which a replica is not ready, with commas between")] = (
        "database"
    )

    cache_enabled: Annotated[bool, _about("keep finished answers, and what models and searches said")] = True
    cache_ttl: Annotated[Annotated[int, Meta(ge=1)], _about("life of a kept answer or search", "s")] = 3600
    cache_model_ttl: Annotated[Annotated[int, Meta(ge=1)], _about("life of what a model said", "s")] = 7200
    cache_stale_ttl: Annotated[
        Annotated[int, Meta(ge=0)], _about("time past its end in which something kept is served when there is nothing new", "s")
    ] = 86_400
    cache_max_size: Annotated[Annotated[int, Meta(ge=1)], _about("most entries of each cache", "entries")] = 1000
    cache_max_mib: Annotated[
        Annotated[int, Meta(ge=1, le=1_048_576)],
        _about("most memory of each cache; 75 questions take 0.2 MiB", "MiB"),
    ] = 128
    redis_url: Annotated[
        str,
        _about(
            "redis://, rediss:// or unix:// of a Valkey that replicas share caches and limits through; empty: none", secret=True
        ),
    ] = ""

    vector_index: Annotated[
        Literal["embedded", "dvecdb", "pgvector"],
        _about("where vectors are searched; embedded: in this process, as is done whenever the other one cannot"),
    ] = "embedded"
    dvecdb_host: Annotated[str, _about("host of d-vecDB")] = "localhost"
    dvecdb_port: Annotated[Port, _about("port of its REST interface")] = 8080
    dvecdb_collection: Annotated[
        str,
        matching(r"^[A-Za-z0-9_-]{1,64}" + END, "up to 64 letters, digits, _ and -"),
        _about("what the names of our collections begin with"),
    ] = "incidents"
    dvecdb_timeout: Annotated[Milliseconds, _about("time per attempt", "ms")] = 30_000
    dvecdb_max_retries: Annotated[Annotated[int, Meta(ge=0, le=20)], _about("further attempts")] = 3

    openai_api_key: Annotated[
        str,
        _about(
            "key of the model's provider; empty: no model, unless OPENAI_BASE_URL names a server that asks for none", secret=True
        ),
    ] = ""
    openai_base_url: Annotated[str, _about("address of an OpenAI-compatible server, with its /v1; empty: OpenAI's")] = ""
    openai_model: Annotated[str, _about("chat model; none: the provider serves embeddings alone")] = "gpt-4o"
    openai_json_form: Annotated[
        Literal["json_schema", "json_object", "words"],
        _about("how JSON is asked for: not every server takes a schema"),
    ] = "json_schema"
    openai_embedding_model: Annotated[str, _about("embedding model")] = "text-embedding-3-small"
    openai_embedding_dimensions: Annotated[
        Annotated[int, Meta(ge=16, le=8192)],
        _about("numbers of a vector; a text-embedding-3 model gives as many as it is asked for"),
    ] = 512
    openai_fallbacks: Annotated[
        str,
        _about(
            "further providers as a JSON list of {name, base_url, api_key, model, embedding_model}, asked in this order",
            secret=True,
        ),
    ] = ""
    openai_timeout: Annotated[Milliseconds, _about("time per attempt", "ms")] = 60_000
    openai_max_retries: Annotated[Annotated[int, Meta(ge=0, le=20)], _about("further attempts")] = 3
    embeddings: Annotated[
        Literal["auto", "local", "openai"],
        _about("who makes vectors; auto: the model's provider where there is a key, else this process"),
    ] = "auto"
    tokens_per_day: Annotated[
        Annotated[int, Meta(ge=0)], _about("model tokens that a user may spend in a day; 0: any number", "tokens")
    ] = 2_000_000

    circuit_breaker_failure_threshold: Annotated[Annotated[int, Meta(ge=1)], _about("failures that open a breaker")] = 5
    circuit_breaker_success_threshold: Annotated[Annotated[int, Meta(ge=1)], _about("successes that close it")] = 2
    circuit_breaker_timeout: Annotated[Milliseconds, _about("time until an open breaker tries again", "ms")] = 60_000
    circuit_breaker_monitoring_period: Annotated[Milliseconds, _about("window in which failures count", "ms")] = 120_000
    adaptive_timeouts: Annotated[
        bool, _about("cut an attempt at twice the 95th percentile of what answers took of late; the timeouts stay the longest")
    ] = False

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return Path(self.data_dir).expanduser()

    @property
    def database(self) -> str:
        """The database's URL, the embedded default put in."""
        return self.database_url or f"sqlite:///{(self.data_path / 'sengol.sqlite3').absolute()}"

    @property
    def token_seconds(self) -> int:
        """Life of a token in seconds."""
        return int(self.jwt_expires_in[:-1]) * _UNIT_SECONDS[self.jwt_expires_in[-1]]

    @property
    def previous_secrets(self) -> tuple[str, ...]:
        """Keys that only check tokens."""
        return tuple(listed(self.jwt_previous_secrets))

    @property
    def cache_bytes(self) -> int:
        """Most memory of each cache in bytes."""
        return self.cache_max_mib * 1024 * 1024

    @property
    def required(self) -> tuple[str, ...]:
        """Dependencies that this replica cannot do without."""
        return tuple(listed(self.readiness_requires))

    @property
    def origins(self) -> tuple[str, ...]:
        """Allowed origins."""
        return tuple(listed(self.allowed_origins))

    @property
    def fallbacks(self) -> list[dict[str, str]]:
        """Further providers of models, as they were given."""
        return msgspec.json.decode(self.openai_fallbacks or "[]", type=list[dict[str, str]])

    @property
    def embedded_by_provider(self) -> bool:
        """Whether the model's provider makes the vectors."""
        return self.embeddings == "openai" or (
            self.embeddings == "auto" and bool(self.openai_api_key and self.openai_embedding_model)
        )

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Networks of the trusted proxies."""
        return tuple(map(network, listed(self.trusted_proxies)))


def listed(text: str) -> list[str]:
    """The parts of a list with commas between."""
    return [part.strip() for part in text.split(",") if part.strip()]


def network(text: str) -> IPv4Network | IPv6Network:
    """A network, or an address as a network of one."""
    return ip_network(text, strict=False)
