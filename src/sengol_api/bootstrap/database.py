"""The database of the settings, and what it says when it cannot be used."""

import datetime as dt

from sengol_api.adapters.sql.engine import Database
from sengol_api.data_dir import StartError, ensure_data_dir
from sengol_api.review.errors import AppError, DatabaseError
from sengol_api.settings import Settings


def utc_now() -> dt.datetime:
    """The present moment."""
    return dt.datetime.now(dt.UTC)


def open_database(settings: Settings) -> Database:
    """The database of the settings.

    Raises:
        StartError: the URL or the data directory cannot be used.
    """
    ensure_data_dir(settings)
    try:
        return Database(settings.database, connections=settings.database_pool_size)
    except ValueError as error:
        raise StartError(f"DATABASE_URL: {error}") from None


def start_failure(settings: Settings, error: DatabaseError) -> str:
    """Which database cannot be used, and why, for the operator; neither holds a password."""
    where = Database(settings.database).shown_url
    return f"the database {where} cannot be used: {said(error)}. Repair it, or choose another by DATABASE_URL or --data-dir."


def said(error: AppError) -> str:
    """What the database itself said, on one line."""
    cause = getattr(error.__cause__, "orig", None) or error.__cause__ or error
    return " ".join(str(cause).split())
