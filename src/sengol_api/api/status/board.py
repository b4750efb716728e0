"""What the page is told of the host at a moment."""

from typing import Final

from sengol_api import __version__
from sengol_api.api.status import tables
from sengol_api.api.status.breakers import epoch
from sengol_api.api.status.dependencies import SLOW, dependencies, in_ms, shares
from sengol_api.api.status.problems import overall, problems
from sengol_api.api.wire.status import ServiceOut, StatusOut
from sengol_api.observability.metrics.model import Labels
from sengol_api.ops.status.host import Seen
from sengol_api.ops.status.timeline import MINUTE
from sengol_api.ops.status.trail import STEP

REQUESTS: Final = "sengol_http_requests_total"
SECONDS: Final = "sengol_http_request_duration_seconds"
_API: Final = "/api/"


def status(seen: Seen) -> StatusOut:
    """All that the page shows."""
    requests, found = _service(seen), dependencies(seen)
    places, limits = tables.places(seen), tables.limits(seen)
    return StatusOut(
        at=epoch(seen.at),
        status=overall(seen),
        version=__version__,
        started_at=epoch(min(worker.started for worker in seen.answered)) if seen.answered else None,
        step=STEP,
        memory=tables.value(seen, "process_resident_memory_bytes"),
        problems=problems(seen, requests, found, places, limits),
        service=requests,
        dependencies=found,
        caches=tables.caches(seen),
        places=places,
        rungs=tables.rungs(seen),
        limits=limits,
        models=tables.models(seen),
        workers=tables.workers(seen),
    )


def _ours(labels: Labels) -> bool:
    return labels[1].startswith(_API)


def _failed(labels: Labels) -> bool:
    return _ours(labels) and labels[2] == "5xx"


def _service(seen: Seen) -> ServiceOut:
    minute = seen.window.last(MINUTE)
    asked = minute.total(REQUESTS, _ours)
    return ServiceOut(
        requests=[None if count is None else round(count / STEP, 2) for count in seen.window.series(REQUESTS, _ours)],
        failed=shares(seen.window, REQUESTS, _failed, _ours),
        slow=[in_ms(each) for each in seen.window.quantiles(SECONDS, SLOW, _ours)],
        per_second=round(asked / minute.seconds, 2),
        failed_share=round(minute.total(REQUESTS, _failed) / asked, 4) if asked else None,
        median=in_ms(minute.quantile(SECONDS, 0.5, _ours)),
        slow_now=in_ms(minute.quantile(SECONDS, SLOW, _ours)),
        in_flight=round(tables.value(seen, "sengol_http_requests_in_flight")),
    )
