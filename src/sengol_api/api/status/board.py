"""What the page is told of the host at a moment."""

from collections.abc import Sequence
from typing import Final

from sengol_api import __version__
from sengol_api.api.status import tables
from sengol_api.api.status.breakers import epoch
from sengol_api.api.status.dependencies import SLOW, dependencies, in_ms, shares, total
from sengol_api.api.status.problems import overall, problems
from sengol_api.api.wire.status import PlacesOut, ServiceOut, StatusOut
from sengol_api.ops.status.host import Seen
from sengol_api.ops.status.timeline import MINUTE
from sengol_api.ops.status.trail import STEP

REQUESTS: Final = "sengol_http_requests_total"
SECONDS: Final = "sengol_http_request_duration_seconds"
_API: Final = "/api/"
_FAILED: Final = "5xx"


def status(seen: Seen) -> StatusOut:
    """All that the page shows."""
    admitted, bulkheads = tables.admission(seen), tables.bulkheads(seen)
    requests, found = _service(seen, admitted), dependencies(seen)
    places, limits = [*admitted, *bulkheads], tables.limits(seen)
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


def _service(seen: Seen, admitted: Sequence[PlacesOut]) -> ServiceOut:
    ours = [labels for labels in seen.samples.get(REQUESTS, {}) if labels[1].startswith(_API)]
    timed = [labels for labels in seen.samples.get(SECONDS, {}) if labels[1].startswith(_API)]
    asked = seen.window.series(REQUESTS, ours)
    failed = seen.window.series(REQUESTS, [labels for labels in ours if labels[2] == _FAILED])
    minute = seen.window.last(MINUTE)
    in_a_minute = total(asked[-MINUTE:])
    return ServiceOut(
        requests=[None if count is None else round(count / STEP, 2) for count in asked],
        failed=shares(failed, asked),
        slow=[in_ms(each) for each in seen.window.quantiles(SECONDS, SLOW, timed)],
        per_second=round(in_a_minute / minute.seconds, 2),
        failed_share=round(total(failed[-MINUTE:]) / in_a_minute, 4) if in_a_minute else None,
        median=in_ms(minute.quantile(SECONDS, 0.5, timed)),
        slow_now=in_ms(minute.quantile(SECONDS, SLOW, timed)),
        in_flight=sum(each.in_flight for each in admitted),
    )
