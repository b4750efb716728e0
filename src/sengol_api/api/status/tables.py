"""Caches, places, rungs, limits, models and workers, as they stand and as they were within the last five minutes."""

from typing import Final, Literal

from sengol_api.api.ops_present import milliseconds
from sengol_api.api.status.breakers import epoch
from sengol_api.api.wire.status import CacheOut, LimitOut, ModelOut, PlacesOut, RungOut, WorkerOut
from sengol_api.observability.metrics.model import Labels
from sengol_api.ops.status.host import Seen, Worker

_CACHE: Final = "sengol_cache_requests_total"


def value(seen: Seen, family: str, labels: Labels = ()) -> float:
    """A number as it is now; 0 where there is none."""
    found = seen.samples.get(family, {}).get(labels, 0.0)
    return 0.0 if isinstance(found, list) else found


def _names(seen: Seen, family: str) -> list[str]:
    """The pipelines that have this."""
    return sorted({labels[0] for labels in seen.samples.get(family, {})})


def caches(seen: Seen) -> list[CacheOut]:
    """The caches by name."""
    recent = seen.window.by_label(_CACHE)
    tiers = seen.samples.get("sengol_cache_tier_away", {})

    def one(name: str) -> CacheOut:
        counts = {outcome: recent.get((name, outcome), 0.0) for outcome in ("hit", "stale", "coalesced", "miss")}
        asked = sum(counts.values())
        return CacheOut(
            name=name,
            entries=round(value(seen, "sengol_cache_entries", (name,))),
            bytes=round(value(seen, "sengol_cache_bytes", (name,))),
            hit_share=round(1 - counts["miss"] / asked, 4) if asked else None,
            hits=round(counts["hit"]),
            stale=round(counts["stale"]),
            coalesced=round(counts["coalesced"]),
            misses=round(counts["miss"]),
            tier=("away" if tiers[name,] else "read") if (name,) in tiers else None,
        )

    return [one(name) for name in _names(seen, "sengol_cache_entries")]


def admission(seen: Seen) -> list[PlacesOut]:
    """What is let in at once."""
    return _places(seen, "admission", "sengol_admission_turned_away_total")


def bulkheads(seen: Seen) -> list[PlacesOut]:
    """What is sent to a dependency at once."""
    return _places(seen, "bulkhead", "sengol_bulkhead_rejected_total")


def _places(seen: Seen, kind: str, turned_away: str) -> list[PlacesOut]:
    recent = seen.window.by_label(turned_away)
    queued = seen.samples.get(f"sengol_{kind}_queued", {})

    def one(name: str) -> PlacesOut:
        reasons = {labels[1]: round(count) for labels, count in recent.items() if labels[0] == name}
        return PlacesOut(
            name=name,
            limit=round(value(seen, f"sengol_{kind}_limit", (name,))),
            in_flight=round(value(seen, f"sengol_{kind}_in_flight", (name,))),
            queued=round(sum(each for labels, each in queued.items() if labels[0] == name and not isinstance(each, list))),
            overloaded=value(seen, f"sengol_{kind}_overloaded", (name,)) > 0,
            turned_away=sum(reasons.values()),
            reasons=reasons,
        )

    return [one(name) for name in _names(seen, f"sengol_{kind}_limit")]


def rungs(seen: Seen) -> list[RungOut]:
    """What answers were made from; of each dependency what served most first."""
    recent = seen.window.by_label("sengol_rungs_served_total")
    found = [
        RungOut(dependency=labels[0], served=labels[1], recent=round(recent.get(labels, 0.0)), total=round(count))
        for labels, count in seen.samples.get("sengol_rungs_served_total", {}).items()
        if not isinstance(count, list)
    ]
    return sorted(found, key=lambda each: (each.dependency, -each.recent, -each.total, each.served))


def limits(seen: Seen) -> list[LimitOut]:
    """The rate limits by name."""
    recent = seen.window.by_label("sengol_rate_limit_calls_total")
    return [
        LimitOut(
            name=name,
            allowed=round(recent.get((name, "allowed"), 0.0)),
            refused=round(recent.get((name, "rejected"), 0.0)),
            keys=round(value(seen, "sengol_rate_limit_keys", (name,))),
            store=_store(seen, name),
        )
        for name in _names(seen, "sengol_rate_limit_keys")
    ]


def _store(seen: Seen, name: str) -> Literal["none", "shared", "away"]:
    told = {worker.stores.get(name) for worker in seen.answered}
    return "away" if "away" in told else "shared" if "shared" in told else "none"


def models(seen: Seen) -> list[ModelOut]:
    """What models took, by their names."""
    tokens, cost = "sengol_model_tokens_total", "sengol_model_cost_dollars_total"
    recent, paid = seen.window.by_label(tokens), seen.window.by_label(cost)

    def one(name: str) -> ModelOut:
        priced = (name,) in seen.samples.get(cost, {})
        return ModelOut(
            name=name,
            input=round(recent.get((name, "input"), 0.0)),
            output=round(recent.get((name, "output"), 0.0)),
            cached=round(recent.get((name, "cached"), 0.0)),
            input_total=round(value(seen, tokens, (name, "input"))),
            output_total=round(value(seen, tokens, (name, "output"))),
            cost=round(paid.get((name,), 0.0), 6) if priced else None,
            cost_total=round(value(seen, cost, (name,)), 6) if priced else None,
        )

    return [one(name) for name in _names(seen, tokens)]


def workers(seen: Seen) -> list[WorkerOut]:
    """The workers by their places."""
    return [_worker(each) for each in seen.workers]


def _worker(worker: Worker) -> WorkerOut:
    speaks = worker.state == "answered"
    return WorkerOut(
        place=worker.place,
        state=worker.state,
        phase=worker.phase if speaks else "",
        started_at=epoch(worker.started) if speaks else None,
        lag=milliseconds(worker.lag) if speaks else None,
        status=worker.status,
    )
