"""The last five minutes of this worker: what was counted, in steps of five seconds.

Counters say how much there was since the start. Who is called at night wants to know how it was before he came, so each worker
notes what its counters grew by, whether anybody looks or not: one reading every five seconds, a few milliseconds of processor time.
Steps lie on the wall clock, so that those of several workers are the same ones and can be added up.
"""

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Final

from sengol_api.observability.metrics.model import Labels, Samples, Value, merged
from sengol_api.resilience.clock import SYSTEM_CLOCK, Clock

STEP: Final = 5.0
"""Seconds of a step."""
KEPT: Final = 60
"""Steps that are kept: five minutes."""
RECORDED: Final = frozenset(
    {
        "sengol_admission_turned_away_total",
        "sengol_bulkhead_rejected_total",
        "sengol_cache_requests_total",
        "sengol_http_request_duration_seconds",
        "sengol_http_requests_total",
        "sengol_model_cost_dollars_total",
        "sengol_model_tokens_total",
        "sengol_pipeline_attempt_duration_seconds",
        "sengol_pipeline_attempts_total",
        "sengol_pipeline_calls_total",
        "sengol_rate_limit_calls_total",
        "sengol_rungs_served_total",
    }
)
"""Counters and histograms whose growth is noted."""


class Trail:
    """Notes what counters grew by.

    Args:
        read: gives the counters of this worker.
        clock: whose wall time the steps lie on.
        recorded: names of families.
    """

    def __init__(self, read: Callable[[], Samples], *, clock: Clock = SYSTEM_CLOCK, recorded: Collection[str] = RECORDED) -> None:
        self._read = read
        self._clock = clock
        self._recorded = recorded
        self._steps: dict[int, Samples] = {}
        self._last: Samples = {}

    async def run(self) -> None:
        """Note each step when it is over, for ever."""
        self._last = self._counters()
        while True:
            await self._clock.sleep(STEP - self._clock.wall() % STEP)
            self.note()

    def note(self) -> None:
        """Note what came since the last time as the step that has just ended."""
        now = self._counters()
        # A timer may come up a little before the wall clock is there.
        step = round(self._clock.wall() / STEP) - 1
        if self._steps and step < max(self._steps):
            self._steps.clear()  # the wall clock was set back: these steps have not come yet
        grown = growth(self._last, now)
        self._steps[step] = merged([(self._steps.get(step, {}), True), (grown, True)])
        self._last = now
        for old in [each for each in self._steps if each <= step - KEPT]:
            del self._steps[old]

    def since(self, step: int) -> dict[int, Samples]:
        """The steps after this one."""
        return {each: grown for each, grown in self._steps.items() if each > step}

    def _counters(self) -> Samples:
        samples = self._read()
        return {name: samples[name] for name in self._recorded if name in samples}


def growth(before: Samples, after: Samples) -> Samples:
    """What counters and histograms grew by; those that did not are left out."""
    found: Samples = {}
    for name, values in after.items():
        known: Mapping[Labels, Value] = before.get(name, {})
        grown = {labels: _difference(known.get(labels), value) for labels, value in values.items()}
        if kept := {labels: value for labels, value in grown.items() if _is_more(value)}:
            found[name] = kept
    return found


def _difference(before: Value | None, after: Value) -> Value:
    if isinstance(after, list):
        return list(map(operator.sub, after, before)) if isinstance(before, list) else after
    return after - before if isinstance(before, float) else after


def _is_more(value: Value) -> bool:
    return any(value[1:]) if isinstance(value, list) else value > 0
