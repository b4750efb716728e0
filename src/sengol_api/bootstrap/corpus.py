"""Schema and corpus brought up to date: before anything is served, or by hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sengol_api.adapters.catalogue_files import load_vocabulary
from sengol_api.adapters.corpus import genai, own
from sengol_api.adapters.corpus.ingestion import ORIGIN as INGESTED
from sengol_api.adapters.corpus.ingestion import Report, Reporter, Silent, ingest_files
from sengol_api.adapters.corpus.readers import Format
from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import Change, SqlIncidentStore
from sengol_api.adapters.sql.schema import loading_alone, migrate
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.bootstrap.database import open_database, utc_now
from sengol_api.data_dir import alone, ensure_data_dir
from sengol_api.review.incident import Incident
from sengol_api.settings import Settings

ATTRIBUTION: Final = f"{genai.ATTRIBUTION}. Cyber, cloud and compliance incidents: facts from the sources that they name"


@dataclass(frozen=True, slots=True)
class Origin:
    """A part of the corpus that comes with the installation."""

    name: str
    version: str
    read: Callable[[], Iterable[Incident]]


def origins() -> tuple[Origin, ...]:
    """The parts of the corpus."""
    return (
        Origin(genai.ORIGIN, genai.corpus_version(), lambda: genai.read_genai(load_vocabulary())),
        Origin(own.ORIGIN, own.corpus_version(), own.read_own),
    )


async def prepare(settings: Settings, reporter: Reporter | None = None) -> Mapping[str, Change]:
    """Bring schema and corpus up to date. Nothing is served yet, so it may block; of all workers and replicas one does the work.

    Args:
        settings: where.
        reporter: is told how the work goes on.

    Returns:
        What was done, by origin; empty when all was up to date.
    """
    database = open_database(settings)
    try:
        with alone(ensure_data_dir(settings)):
            await migrate(database)
            return await _load_stale(database, reporter or Silent())
    finally:
        await database.close()


async def _load_stale(database: Database, reporter: Reporter) -> dict[str, Change]:
    """Load the origins whose version is not the stored one, and embed again what another embedder left of the users' own."""
    embedder = WordLlamaEmbedder()
    store = SqlIncidentStore(database, embedder, now=utc_now)
    done = {}
    if await _stale(store, embedder.name):
        async with loading_alone(database):
            for origin, version in await _stale(store, embedder.name):
                incidents = list(origin.read())
                reporter.begin(origin.name, len(incidents))
                done[origin.name] = await store.put(
                    origin.name, incidents, version=version, remove_others=True, on_progress=reporter.advance
                )
    renewed = await store.embed_again(INGESTED)
    return {**done, INGESTED: renewed} if renewed.changed else done


async def _stale(store: SqlIncidentStore, embedder: str) -> list[tuple[Origin, str]]:
    """The origins that the store does not hold in the version that they have here, with that version."""
    stored = await store.versions()
    wanted = [(origin, f"{origin.version}/{embedder}") for origin in origins()]
    return [(origin, version) for origin, version in wanted if stored.get(origin.name) != version]


async def ingest(settings: Settings, files: Sequence[Path], kind: Format | None, reporter: Reporter) -> Report:
    """Add the incidents of files to the corpus.

    Raises:
        IngestError: a file's format is not known.
    """
    database = open_database(settings)
    try:
        with alone(ensure_data_dir(settings)):
            await migrate(database)
            store = SqlIncidentStore(database, WordLlamaEmbedder(), now=utc_now)
            return await ingest_files(store, files, kind, vocabulary=load_vocabulary(), today=utc_now().date(), reporter=reporter)
    finally:
        await database.close()
