"""Circuit breakers of all workers, with what they went through."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from sengol_api.api.present import moment
from sengol_api.api.wire.status import BreakerOut, ChangeOut, LaneOut, SpanOut
from sengol_api.ops.status.changes import Change
from sengol_api.ops.status.host import Seen, Worker
from sengol_api.ops.status.trail import KEPT, STEP

GRAVEST_FIRST: Final = ("ISOLATED", "OPEN", "HALF_OPEN", "DISABLED", "CLOSED")
SAME: Final = 2.0
"""Seconds within which the same change of several workers is one: one replica tells the others."""
MOST_CHANGES: Final = 20


def epoch(seconds: float) -> str:
    """A moment in seconds since the epoch, as it stands on the wire."""
    return moment(dt.datetime.fromtimestamp(seconds, dt.UTC))


def breaker(seen: Seen, name: str) -> BreakerOut | None:
    """The circuit breaker of a pipeline; None when no worker has one."""
    having = [worker for worker in seen.answered if name in worker.breakers]
    if not having:
        return None
    here = [worker.breakers[name] for worker in having]
    states = Counter(each.state for each in here)
    state = min(states, key=_gravity)
    waits = [each.retry_after for each in here if each.retry_after is not None]
    return BreakerOut(
        name=name,
        state=state,
        states=dict(states),
        since=epoch(min(each.since for each in here if each.state == state)),
        retry_after=round(max(waits), 1) if waits else None,
        failures=sum(each.failures for each in here),
        refused=round(seen.window.total("sengol_pipeline_calls_total", [(name, "rejected")])),
        lanes=[_lane(worker, name, seen.at) for worker in having],
        changes=changes(having, name),
    )


def _gravity(state: str) -> int:
    return GRAVEST_FIRST.index(state) if state in GRAVEST_FIRST else 0


def _lane(worker: Worker, name: str, at: float) -> LaneOut:
    """The states of one worker's breaker, by the seconds of the last five minutes."""
    begin = at - KEPT * STEP
    history = worker.changes.get(name, ())
    # What was before the first change that is known is told by that change; without one it never changed.
    state = history[0].previous if history else worker.breakers[name].state
    spans: list[SpanOut] = []
    start = max(0.0, worker.started - begin)
    for change in history:
        end = max(start, min(change.at, at) - begin)
        _extend(spans, start, end, state)
        start, state = end, change.state
    _extend(spans, start, KEPT * STEP, state)
    return LaneOut(worker=worker.place, spans=spans)


def _extend(spans: list[SpanOut], start: float, end: float, state: str) -> None:
    if end > start:
        spans.append(SpanOut(start=round(start, 1), end=round(end, 1), state=state))


def changes(workers: Iterable[Worker], name: str) -> list[ChangeOut]:
    """What the circuit breakers of a pipeline went through, the latest first; what came to several workers at once is one."""
    known = [(change, worker.place) for worker in workers for change in worker.changes.get(name, ())]
    groups: list[list[tuple[Change, int]]] = []
    for change, place in sorted(known, key=lambda each: each[0].at):
        group = next((group for group in reversed(groups) if _joins(group, change, place)), None)
        if group is None:
            groups.append([(change, place)])
        else:
            group.append((change, place))
    return [_change(group) for group in reversed(groups[-MOST_CHANGES:])]


def _joins(group: Sequence[tuple[Change, int]], change: Change, place: int) -> bool:
    first = group[0][0]
    same = (first.previous, first.state) == (change.previous, change.state)
    return same and change.at - first.at <= SAME and place not in {each for _, each in group}


def _change(group: Sequence[tuple[Change, int]]) -> ChangeOut:
    first = group[0][0]
    return ChangeOut(
        at=epoch(first.at),
        previous=first.previous,
        state=first.state,
        reason=first.reason,
        error=first.error,
        workers=sorted(place for _, place in group),
    )
