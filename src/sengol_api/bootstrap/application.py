"""The ASGI application of the environment's settings: what a worker process of a server loads."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from sengol_api.api.app import create_app
from sengol_api.api.services import ApiOptions, Services
from sengol_api.bootstrap.corpus import prepare
from sengol_api.bootstrap.database import start_failure
from sengol_api.bootstrap.heap import give_back
from sengol_api.bootstrap.services import open_services
from sengol_api.bootstrap.threads import work_aside
from sengol_api.data_dir import StartError
from sengol_api.observability.host import Host
from sengol_api.observability.logging import configure as configure_logging
from sengol_api.observability.logging import for_people
from sengol_api.observability.progress import progress_bar, progress_lines
from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.tracing import start_tracing
from sengol_api.ops.drain import Drain
from sengol_api.ops.signals import drains_on_sigterm
from sengol_api.ops.watchdog import PATIENCE, LoopWatch
from sengol_api.resilience import Station
from sengol_api.review.errors import AppError, DatabaseError
from sengol_api.settings import Settings, load, read_environment

COLLECTED: Final = (20_000, 10, 5)
"""When the collector looks for circles: after so many objects more than before, after ten such looks among older ones too, after
five of those among all. A review has some twenty thousand objects at once, and none of them is in a circle: with Python's 700 they
were looked through thirty times for nothing, which was a tenth of all work."""

_log = logging.getLogger(__name__)


def api_options(settings: Settings) -> ApiOptions:
    """What the HTTP face is told."""
    return ApiOptions(
        request_timeout=settings.request_timeout,
        slow_request=settings.slow_request_ms,
        origins=settings.origins,
        hsts_seconds=settings.hsts_seconds,
        trusted_proxies=settings.proxies,
    )


def _settle() -> None:
    """End the start: the collector need not look at the corpus again and again, and what only the start needed goes back."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED)
    give_back()


def stand_in_order(drain: Drain, telemetry: Telemetry, *, supervised: bool, patience: float = PATIENCE) -> None:
    """From now on this process drains on SIGTERM, and one that is supervised ends when its event loop is stuck.

    Args:
        drain: of this process.
        telemetry: what it has not told yet is told at the end, also of one that leaves behind what does not close.
        supervised: a parent starts another process when this one ends, and decides alone what a second signal means.
        patience: seconds after which a loop counts as stuck.
    """
    drain.at_end("telemetry", telemetry.close)
    drains_on_sigterm(drain, again=(lambda: None) if supervised else None)
    if supervised:
        LoopWatch(asyncio.get_running_loop(), patience=patience).start()


def application(workers: Path | None = None, *, supervised: bool = False) -> ASGIApp:
    """The ASGI application of the environment's settings: what a worker process of a server loads.

    Starting up brings schema and corpus up to date and loads the corpus; a start that cannot be says why in one line.

    Args:
        workers: the directory that the workers of this server share; None for one by itself.
        supervised: a parent starts another process when this one ends, and decides alone what a second signal means.
    """
    settings = load()
    configure_logging(settings.log_level, settings.log_format)
    telemetry = Telemetry(host=Host(workers), tracer=start_tracing(read_environment()))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        try:
            with progress_bar() if for_people(settings.log_format) else progress_lines() as reporter:
                await prepare(settings, reporter)
            computing = Station()
            async with open_services(settings, telemetry, computing) as services:
                _settle()
                work_aside(computing)
                stand_in_order(services.drain, telemetry, supervised=supervised)
                yield services
        except (StartError, AppError, RuntimeError) as error:
            # Nothing is open yet: leaving at once keeps this line from drowning in the server's tracebacks.
            _log.critical("cannot start: %s", start_failure(settings, error) if isinstance(error, DatabaseError) else error)
            os._exit(2)

    return create_app(opened, api_options(settings), telemetry)
