"""The one place that wires: settings in, services out."""

from sengol_api.bootstrap.application import application
from sengol_api.bootstrap.corpus import ingest, prepare
from sengol_api.bootstrap.database import open_database, start_failure, utc_now
from sengol_api.bootstrap.probe import probe
from sengol_api.bootstrap.services import open_services

__all__ = ["application", "ingest", "open_database", "open_services", "prepare", "probe", "start_failure", "utc_now"]
