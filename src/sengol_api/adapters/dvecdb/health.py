"""How the client stands, in the shape of the health routes."""

import datetime as dt
from typing import Any

from sengol_api.adapters.dvecdb.keeper import Keeper
from sengol_api.adapters.dvecdb.lines import Lines
from sengol_api.adapters.dvecdb.statistics import Statistics


def health_status(keeper: Keeper, lines: Lines, statistics: Statistics, response_time: float | None) -> dict[str, Any]:
    """JSON-like, with the names of the health routes.

    Args:
        keeper: of the index.
        lines: of the client.
        statistics: likewise.
        response_time: of the last health check, seconds; None when it failed or there was none.
    """
    breaker, progress, serving = lines.breaker.snapshot(), keeper.progress, keeper.serving
    return {
        "status": _status(keeper, lines),
        "responseTime": None if response_time is None else round(response_time * 1000, 1),
        "circuitBreaker": {
            "state": str(breaker.state),
            "failureCount": breaker.failure_count,
            "recentFailures": breaker.recent_failures,
            "successCount": breaker.success_count,
            "rejected": breaker.rejected,
            "nextAttempt": _time(breaker.next_attempt),
        },
        "index": {
            "collection": serving.collection if serving else None,
            "vectors": serving.count if serving else None,
            "version": serving.version if serving else None,
        },
        "rebuild": {
            "active": progress.active,
            "done": progress.done,
            "total": progress.total,
            "startedAt": _time(progress.started_at),
            "finishedAt": _time(progress.finished_at),
            "completed": progress.completed,
            "lastError": progress.last_error,
        },
        "statistics": {
            "searches": statistics.searches,
            "failures": statistics.failures,
            "requests": statistics.requests,
            "exact": dict(statistics.exact),
            "unknownHits": statistics.unknown,
            **_of_cache(lines),
        },
    }


def _status(keeper: Keeper, lines: Lines) -> str:
    if keeper.progress.active:
        return "rebuilding"
    if str(lines.breaker.state) in {"OPEN", "ISOLATED"}:
        return "unavailable"
    return "ok" if keeper.serving is not None else "unknown"


def _of_cache(lines: Lines) -> dict[str, Any]:
    if lines.cache is None:
        return {}
    cache = lines.cache["cache"].snapshot()
    names = {"entries": "entries", "hits": "hits", "misses": "misses", "coalesced": "coalesced", "stale_served": "staleServed"}
    return {"cache": {shown: getattr(cache, name) for name, shown in names.items()} | {"hitRate": round(cache.hit_rate, 4)}}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
