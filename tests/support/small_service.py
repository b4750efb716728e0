"""The real server around a small service that starts in a moment: real store, toy corpus, and a main job that does what it is told.

The first words of a description say what: ``slow 2.5`` (seconds, then the questions), ``never`` ends, ``deaf`` neither and hears no
cancellation, ``block 3`` holds the event loop, ``break 5`` makes as many calls fail through the circuit breaker.
"""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.types import ASGIApp

from sengol_api import server
from sengol_api.adapters.argon2_hasher import Argon2Hasher
from sengol_api.adapters.sql.audit import SqlAuditLog
from sengol_api.adapters.sql.reviews import SqlReviewStore
from sengol_api.adapters.sql.schema import migrate
from sengol_api.adapters.sql.users import SqlUserStore
from sengol_api.api.app import create_app
from sengol_api.api.gate import Gate, GateOptions
from sengol_api.api.limits import LimitOptions, Limits
from sengol_api.api.services import Services
from sengol_api.api.tokens import Tokens
from sengol_api.bootstrap import open_database, utc_now
from sengol_api.bootstrap.application import api_options, stand_in_order
from sengol_api.data_dir import alone, ensure_data_dir, jwt_secret
from sengol_api.observability.host import Host
from sengol_api.observability.logging import configure
from sengol_api.observability.telemetry import Telemetry
from sengol_api.observability.tracing import start_tracing
from sengol_api.ops.background import Background
from sengol_api.ops.drain import Drain
from sengol_api.ops.health import Dependency, Health
from sengol_api.ops.steering import Steering
from sengol_api.resilience import Cache, CircuitBreaker, CircuitOpen, Registry
from sengol_api.review.generate import Progress
from sengol_api.review.search import SearchIncidents
from sengol_api.settings import Settings, load
from support.builders import make_vocabulary
from support.toys import ToyWorld, toy_world

PATIENCE = "SMALL_SERVICE_PATIENCE"
SLOW_START = "slow-start"


class Told:
    """The main job."""

    def __init__(self, world: ToyWorld, registry: Registry) -> None:
        self._questions = world.answers(utc_now)
        self._registry = registry

    async def __call__(self, request, *, user_id="", on_progress=lambda _: None, skip_cache=False):
        on_progress(Progress("areas", 1, 2))
        word, _, rest = request.description.partition(" ")
        match word:
            case "slow":
                await asyncio.sleep(float(rest.split()[0]))
            case "never":
                await asyncio.Event().wait()
            case "block":
                time.sleep(float(rest.split()[0]))  # noqa: ASYNC251 - this is what it is about
            case "break":
                for _ in range(int(rest.split()[0])):
                    with suppress(ConnectionError, CircuitOpen):
                        await self._registry["vectorSearch"].call(_refused)
            case "deaf":
                while True:
                    try:
                        await asyncio.sleep(1000)
                    except asyncio.CancelledError:
                        continue
        return await self._questions(request, user_id=user_id, skip_cache=True)


async def _refused() -> None:
    raise ConnectionError("canary-address.example.com refused the connection")


@asynccontextmanager
async def opened(settings: Settings, telemetry: Telemetry, *, supervised: bool) -> AsyncIterator[Services]:
    """Everything that the operations need."""
    database = open_database(settings)
    hasher = Argon2Hasher()
    with alone(ensure_data_dir(settings)):
        await migrate(database)
    world, registry = await toy_world(), Registry()
    registry.pipeline("vectorSearch", CircuitBreaker())
    registry.pipeline("answers", Cache())
    drain = Drain(delay=settings.shutdown_drain_delay / 1000, timeout=settings.shutdown_timeout / 1000)
    steering = Steering(registry, SqlAuditLog(database), now=utc_now)
    await steering.begin()
    async with Background() as background:
        background.run("orders of administrators", steering.follow, every=0.1)
        stand_in_order(drain, telemetry, supervised=supervised, patience=float(os.environ.get(PATIENCE, "30")))
        yield Services(
            users=SqlUserStore(database),
            reviews=SqlReviewStore(database),
            hasher=hasher,
            tokens=Tokens(jwt_secret(settings), seconds=3600, now=utc_now, others=settings.previous_secrets),
            generate=Told(world, registry),
            at_hand=lambda _request: False,
            search=SearchIncidents(world.knowledge.corpus, spaces=world.spaces, keywords=world.keywords),
            corpus=world.knowledge.corpus,
            vocabulary=make_vocabulary(),
            attribution="Toy corpus",
            registry=registry,
            limits=Limits(LimitOptions(requests_per_minute=1_000_000, logins_per_minute=1_000_000), registry),
            gate=Gate(GateOptions(least_heavy=64), registry),
            now=utc_now,
            started_at=utc_now(),
            health=Health(
                [Dependency(name="database", check=database.ping)],
                registry,
                required=["database"],
                closed=lambda: drain.why_not_ready,
            ),
            steering=steering,
            background=background,
            drain=drain,
        )
    hasher.close()
    await database.close()


def application(*, supervised: bool = False) -> ASGIApp:
    """What a server loads."""
    settings = load()
    configure(settings.log_level, settings.log_format)
    shared = os.environ.get(server._WORKERS)
    telemetry = Telemetry(host=Host(Path(shared) if shared else None), tracer=start_tracing(os.environ))
    return create_app(lambda: opened(settings, telemetry, supervised=supervised), api_options(settings), telemetry)


def worker() -> ASGIApp:
    """What a worker of the real parent loads; it takes its time where the data directory has a file that says so."""
    server.end_with_parent()
    if (load().data_path / SLOW_START).exists():
        time.sleep(60)
    return application(supervised=True)


def main() -> None:
    """Serve with the options of ``sengol-api serve``."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int)
    options.add_argument("--data-dir")
    options.add_argument("--workers", type=int, default=1)
    given = options.parse_args()
    server.run(load(port=given.port, data_dir=given.data_dir), workers=given.workers, target="support.small_service:worker")


if __name__ == "__main__":
    main()
