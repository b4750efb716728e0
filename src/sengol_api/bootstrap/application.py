"""The ASGI application of the environment's settings: what a worker process of a server loads."""

import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from sengol_api.api.app import create_app
from sengol_api.api.services import ApiOptions, Services
from sengol_api.bootstrap.corpus import prepare
from sengol_api.bootstrap.database import start_failure
from sengol_api.bootstrap.services import open_services
from sengol_api.data_dir import StartError
from sengol_api.observability.logging import configure as configure_logging
from sengol_api.observability.progress import progress_bar
from sengol_api.review.errors import AppError, DatabaseError
from sengol_api.settings import Settings, load

_log = logging.getLogger(__name__)


def api_options(settings: Settings) -> ApiOptions:
    """What the HTTP face is told."""
    return ApiOptions(request_timeout=settings.request_timeout, slow_request=settings.slow_request_ms, origins=settings.origins)


def application() -> ASGIApp:
    """The ASGI application of the environment's settings: what a worker process of a server loads.

    Starting up brings schema and corpus up to date and loads the corpus; a start that cannot be says why in one line.
    """
    settings = load()
    configure_logging(settings.log_level, settings.log_format)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        try:
            with progress_bar() as bar:
                await prepare(settings, bar)
            async with open_services(settings) as services:
                # The corpus lives as long as the process: the collector need not look at it again and again.
                gc.collect()
                gc.freeze()
                yield services
        except (StartError, AppError, RuntimeError) as error:
            # Nothing is open yet: leaving at once keeps this line from drowning in the server's tracebacks.
            _log.critical("cannot start: %s", start_failure(settings, error) if isinstance(error, DatabaseError) else error)
            os._exit(2)

    return create_app(opened, api_options(settings))
