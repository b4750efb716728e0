"""What the service calls, as its health shows it."""

from collections.abc import Iterable
from functools import partial

import msgspec

from sengol_api.adapters.sql.engine import Database
from sengol_api.bootstrap.index import DVECDB, PGVECTOR, Indexes
from sengol_api.bootstrap.knowledge import Known
from sengol_api.bootstrap.model import ModelParts
from sengol_api.bootstrap.shared import Shared
from sengol_api.data_dir import StartError
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Dependency, Health
from sengol_api.resilience import Registry
from sengol_api.settings import Settings


def dependencies(database: Database, known: Known, shared: Shared, model: ModelParts | None, indexes: Indexes) -> list[Dependency]:
    """All that are there with these settings."""
    found = [
        Dependency(name="database", check=database.ping),
        Dependency(name="embedder", check=partial(known.embedder.embed, ["well?"])),
    ]
    if shared.client is not None:
        found.append(Dependency(name="valkey", check=shared.client.ping))
    if indexes.on_dvecdb:
        found.append(Dependency(name=DVECDB, check=indexes.ping_dvecdb, pipeline=DVECDB, stats=indexes.dvecdb_facts))
    if indexes.pgvector is not None:
        # In the database, and an entry of its own all the same: table and extension can be gone, and its breaker open.
        there = indexes.pgvector
        found.append(Dependency(name=PGVECTOR, check=there.ping, pipeline=PGVECTOR, stats=there.facts))
    if model is not None:
        found.append(_model(model))
    return found


def _model(model: ModelParts) -> Dependency:
    """By its calls alone: a question to it costs money, and strangers may ask for our health."""

    async def nothing() -> None:
        return

    first = model.client.providers[0]
    kind = "chat" if first.model else "embeddings"

    def stats() -> dict[str, object]:
        told: dict[str, object] = msgspec.to_builtins(model.client.get_stats())
        return {name: told[name] for name in ("requests", "retries", "errors", "input_tokens", "output_tokens")}

    return Dependency(name="openai", check=nothing, pipeline=f"{model.client.options.name}.{kind}.{first.name}", stats=stats)


def look_after(found: Iterable[Dependency], registry: Registry, settings: Settings, drain: Drain) -> Health:
    """The health of the dependencies.

    Raises:
        StartError: READINESS_REQUIRES names what is no dependency.
    """
    try:
        return Health(found, registry, required=settings.required, closed=lambda: drain.why_not_ready)
    except ValueError as error:
        raise StartError(f"READINESS_REQUIRES: {error}") from None
