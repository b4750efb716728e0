"""The environment, read in one place. Nothing else of the package looks at it."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from sengol_api.review.errors import Problem
from sengol_api.validation import END, check, matching

Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _about(text: str, unit: str = "", *, secret: bool = False, later: bool = False) -> Any:  # noqa: ANN401 - msgspec.Meta
    return Meta(description=text, extra={"unit": unit, "secret": secret, "later": later})


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename=str.upper, forbid_unknown_fields=True):
    """Every setting with its default. ``later`` marks those that this version reads and checks but does not use yet."""

    host: Annotated[str, Meta(min_length=1), _about("address to listen on")] = "127.0.0.1"
    port: Annotated[Annotated[int, Meta(ge=0, le=65_535)], _about("port to listen on; 0 for any free one")] = 4000
    environment: Annotated[
        Literal["development", "test", "production"], _about("production refuses to start without a JWT_SECRET")
    ] = "development"
    data_dir: Annotated[str, Meta(min_length=1), _about("folder for the embedded database and the development secret")] = "./var"
    database_url: Annotated[
        str, _about("sqlite:///path or postgresql://user:password@host/name; empty: SQLite in DATA_DIR", secret=True)
    ] = ""
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
    cache_max_size: Annotated[
        Annotated[int, Meta(ge=1)], _about("most entries of each cache; an answer takes about 0.15 MiB", "entries")
    ] = 1000
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
    adaptive_timeouts: Annotated[bool, _about("derive timeouts from observed latency", later=True)] = False

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
        return tuple(_listed(self.jwt_previous_secrets))

    @property
    def required(self) -> tuple[str, ...]:
        """Dependencies that this replica cannot do without."""
        return tuple(_listed(self.readiness_requires))

    @property
    def origins(self) -> tuple[str, ...]:
        """Allowed origins."""
        return tuple(_listed(self.allowed_origins))

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
        return tuple(map(_network, _listed(self.trusted_proxies)))


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


class SettingsError(Exception):
    """The environment cannot be used; the message lists every variable that is wrong."""


class Variable(msgspec.Struct, frozen=True):
    """A setting as it is documented."""

    name: str
    field: str
    default: Any
    unit: str
    about: str
    secret: bool
    later: bool
    takes: str


def variables() -> list[Variable]:
    """Every setting, in the order of the class, for documentation and for ``sengol-api check``."""
    found = []
    for field in msgspec.structs.fields(Settings):
        described = next(m for m in reversed(field.type.__metadata__) if m.extra)
        extra = described.extra
        found.append(
            Variable(
                field.encode_name,
                field.name,
                field.default,
                extra["unit"],
                described.description or "",
                extra["secret"],
                extra["later"],
                _takes(field.type),
            ),
        )
    return found


def _takes(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    schema = msgspec.json.schema(annotation)
    if "enum" in schema:
        return " / ".join(map(str, schema["enum"]))
    if "pattern" in schema:
        return next(str(item.extra["says"]) for item in annotation.__metadata__ if item.pattern)
    if schema["type"] == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        return f"whole number from {low}" + (f" to {high}" if high is not None else "")
    return {"boolean": "true / false", "string": "text"}[schema["type"]]


def read_environment(folder: Path | None = None) -> dict[str, str]:
    """The ``.env`` file of a folder (the working one by default), overruled by the environment."""
    file = (folder or Path.cwd()) / ".env"
    stored = {key: value for key, value in dotenv_values(file).items() if value is not None} if file.is_file() else {}
    return {**stored, **os.environ}


def load(environment: Mapping[str, str] | None = None, /, **overrides: str | int | None) -> Settings:
    """Read the settings.

    Args:
        environment: variables by name; by default those of the process and the ``.env`` file.
        overrides: values by field name that count more (the command line's); None is no override.

    Raises:
        SettingsError: with every variable that is wrong, what it got and what it takes.
    """
    given = read_environment() if environment is None else environment
    known = {variable.name: variable for variable in variables()}
    values: dict[str, Any] = {name: given[name].strip() for name in known if given.get(name, "").strip()}
    values.update({name.upper(): value for name, value in overrides.items() if value is not None})
    settings, problems = check(values, Settings, strict=False)
    wrong = [*_wrong_values(problems, values, known), *_wrong_secret(values), *_wrong_proxies(values), *_wrong_providers(values)]
    if settings is None or wrong:
        raise SettingsError(f"{len(wrong)} setting{'s are' if len(wrong) > 1 else ' is'} wrong:\n" + "\n".join(wrong))
    return settings


def _wrong_values(problems: Iterable[Problem], values: Mapping[str, Any], known: Mapping[str, Variable]) -> Iterator[str]:
    for problem in problems:
        variable = known[problem.path]
        got = "(hidden)" if variable.secret else repr(str(values.get(problem.path))[:80])
        yield f"  {problem.path}: got {got}; takes {variable.takes}" + (f", in {variable.unit}" if variable.unit else "")


def _wrong_secret(values: Mapping[str, Any]) -> Iterator[str]:
    """A secret that guards nothing; in production there is no other to fall back on."""
    length = len(str(values.get("JWT_SECRET", "")))
    production = values.get("ENVIRONMENT") == "production"
    if length < 32 and (length or production):
        got = f"{length} characters" if length else "nothing"
        where = "with ENVIRONMENT=production it" if production else "it"
        yield f"  JWT_SECRET: got {got}; {where} takes at least 32 random characters: openssl rand -base64 48"
    short = [len(secret) for secret in _listed(str(values.get("JWT_PREVIOUS_SECRETS", ""))) if len(secret) < 32]
    if short:
        yield f"  JWT_PREVIOUS_SECRETS: got a key of {short[0]} characters; each takes at least 32"


def _wrong_proxies(values: Mapping[str, Any]) -> Iterator[str]:
    for part in _listed(str(values.get("TRUSTED_PROXIES", ""))):
        try:
            _network(part)
        except ValueError:
            yield f"  TRUSTED_PROXIES: got {part[:80]!r}; takes addresses or networks, as 10.0.0.0/8 or ::1, with commas between"


_PROVIDER: Final = frozenset({"name", "base_url", "api_key", "model", "embedding_model", "organization", "project"})


def _wrong_providers(values: Mapping[str, Any]) -> Iterator[str]:
    """Providers that cannot be read. They hold keys, so nothing of them is shown."""
    takes = 'a JSON list like [{"name": "second", "base_url": "https://…/v1", "api_key": "…", "model": "…"}]'
    try:
        given = msgspec.json.decode(str(values.get("OPENAI_FALLBACKS", "") or "[]"), type=list[dict[str, str]])
    except msgspec.DecodeError:
        yield f"  OPENAI_FALLBACKS: got (hidden); takes {takes}"
        return
    if any(each.keys() - _PROVIDER or "name" not in each for each in given):
        yield f"  OPENAI_FALLBACKS: got (hidden); each takes a name, and of {', '.join(sorted(_PROVIDER - {'name'}))} what it needs"
    if values.get("EMBEDDINGS") == "openai" and not values.get("OPENAI_API_KEY"):
        yield "  EMBEDDINGS: got 'openai'; it takes an OPENAI_API_KEY as well"
    database = str(values.get("DATABASE_URL", ""))
    if values.get("VECTOR_INDEX") == "pgvector" and not database.startswith("postgres"):
        yield "  VECTOR_INDEX: got 'pgvector'; it takes a DATABASE_URL of PostgreSQL as well"


_OURS: Final = re.compile(
    r"^(OPENAI|DVECDB|D_VECDB|CACHE|CIRCUIT_?BREAKER|JWT|VECTOR|RATE_LIMIT|REQUEST|SHUTDOWN|SLOW|DATA|DATABASE|REDIS|READINESS|"
    r"TRUSTED|ALLOWED|ADAPTIVE|ENVIRON|LOG)[A-Z_]*$",
)


def suspects(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variables that look like misspelt settings of ours, each with the nearest right name."""
    names = [variable.name for variable in variables()]
    found = []
    for name in sorted(environment):
        if name in names or not (_OURS.match(name) or name.upper() in names):
            continue
        near = [name.upper()] if name.upper() in names else difflib.get_close_matches(name, names, n=1, cutoff=0.75)
        if near:
            found.append((name, near[0]))
    return found


def unused(environment: Mapping[str, str]) -> list[str]:
    """Settings that are given and that this version does not use yet."""
    return [variable.name for variable in variables() if variable.later and environment.get(variable.name, "").strip()]
