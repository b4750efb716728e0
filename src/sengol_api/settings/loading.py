"""Reading the environment, and everything that is wrong with it at once."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from dotenv import dotenv_values

from sengol_api.review.errors import Problem
from sengol_api.settings.model import Settings, listed, network
from sengol_api.settings.variables import Variable, variables
from sengol_api.validation import check


class SettingsError(Exception):
    """The environment cannot be used; the message lists every variable that is wrong."""


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
    short = [len(secret) for secret in listed(str(values.get("JWT_PREVIOUS_SECRETS", ""))) if len(secret) < 32]
    if short:
        yield f"  JWT_PREVIOUS_SECRETS: got a key of {short[0]} characters; each takes at least 32"


def _wrong_proxies(values: Mapping[str, Any]) -> Iterator[str]:
    for part in listed(str(values.get("TRUSTED_PROXIES", ""))):
        try:
            network(part)
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
