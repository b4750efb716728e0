"""Whether each dependency answers: for ``sengol-api check``."""

from sengol_api.adapters.sql.engine import Database
from sengol_api.adapters.sql.incidents import SqlIncidentStore
from sengol_api.adapters.wordllama_embedder import WordLlamaEmbedder
from sengol_api.bootstrap.database import open_database, said, utc_now
from sengol_api.review.errors import AppError
from sengol_api.settings import Settings


async def probe(settings: Settings) -> dict[str, tuple[bool, str]]:
    """Whether each dependency answers, and what it says."""
    answers: dict[str, tuple[bool, str]] = {}
    database = open_database(settings)
    try:
        versions = await SqlIncidentStore(database, WordLlamaEmbedder(), now=utc_now).versions()
        answers["database"] = (True, database.shown_url)
        loaded = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        answers["corpus"] = (True, loaded) if versions else (False, "not loaded yet; «sengol-api serve» loads it")
    except AppError as error:
        await _explain_database(database, answers, error)
    finally:
        await database.close()
    try:
        embedder = WordLlamaEmbedder()
        embedder.warm()
        answers["embedder"] = (True, embedder.name)
    except (RuntimeError, OSError) as error:
        answers["embedder"] = (False, str(error))
    return answers


async def _explain_database(database: Database, answers: dict[str, tuple[bool, str]], error: AppError) -> None:
    try:
        await database.ping()
        answers["database"] = (True, f"{database.shown_url}, without our tables yet; «sengol-api serve» makes them")
    except AppError:
        answers["database"] = (False, f"{database.shown_url}: {said(error)}")
