"""The latency of a service that is not loaded: what the present one is compared to.

A baseline that is the mean of late, or a minimum that is renewed while the service is loaded, creeps up with the very queue that it
is meant to show, and the limit with it, without end. A minimum of all time never believes that a service has become slower. So
this one is measured: now and then the limit is cut to a half for two windows, one to drain the queue and one to look, as BBR
does with its round-trip time (N. Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue 14(5), 2016). Between
measurements it only follows downwards; and both ways while the limit is not in use, since then no queue is of our making. A window
that confirms the baseline does not put the next measurement off: a baseline with a queue in it would confirm itself.
"""

from dataclasses import dataclass
from typing import NamedTuple

from sengol_api.resilience.adaptive.algorithm import clamped
from sengol_api.resilience.adaptive.sample import Sample
from sengol_api.resilience.options import Options, between, option, whole

_LOWER = 0.75  # times the baseline: a measurement below this says that there was a queue, and perhaps still is
_FAR = 2.0  # times the baseline: a window as slow as this makes it doubtful
_DOUBT = 10  # windows that a doubtful one counts for
_SOON = 10  # windows to the next measurement of a baseline that was not, or not surely, measured without a queue


class Baseline(NamedTuple):
    """What is known of the unloaded latency.

    Attributes:
        latency: seconds; None before the first window.
        age: windows with the limit in use since it was last measured.
        resume: limit to go back to after the measurement that is under way; None when none is.
        drained: the first window of the measurement is over.
    """

    latency: float | None = None
    age: int = 0
    resume: float | None = None
    drained: bool = False


class LatencyState(NamedTuple):
    """State of an algorithm that compares latencies."""

    limit: float
    baseline: Baseline = Baseline()


@dataclass(frozen=True)
class LatencyAlgorithm(Options):
    """What the algorithms that compare the latency with its baseline have in common."""

    decrease: float = option(0.9, between(0.1, 0.99), "what is left of the limit after a window with drops")
    smoothing: float = option(0.1, between(0.01, 1), "share of the way to a faster latency that the baseline goes in a window")
    probe_after: int = option(100, whole(10), "windows with the limit in use after which the baseline is measured again")

    def start(self, limit: float) -> LatencyState:
        """The state before any sample."""
        return LatencyState(limit)

    def step(self, limit: float, baseline: float, latency: float) -> float:
        """The next limit, after a window with the limit in use and without drops."""
        raise NotImplementedError

    def update(self, state: LatencyState, sample: Sample, least: float, most: float) -> LatencyState:
        """The state after one more window."""
        limit, baseline = state
        if baseline.resume is not None:
            return self._measured(state, sample, baseline.resume, least, most)
        if sample.dropped:
            return LatencyState(clamped(limit * self.decrease, least, most), baseline._replace(age=baseline.age + 1))
        if sample.latency is None:
            return state
        baseline = self._followed(baseline, sample.latency, in_use=sample.in_use)
        if not sample.in_use:
            return LatencyState(clamped(limit, least, most), baseline)
        if baseline.age >= self.probe_after:
            return LatencyState(clamped(limit / 2, least, most), baseline._replace(resume=limit))
        return LatencyState(clamped(self.step(limit, baseline.latency or sample.latency, sample.latency), least, most), baseline)

    def _followed(self, baseline: Baseline, latency: float, *, in_use: bool) -> Baseline:
        known = baseline.latency
        if known is None:
            return Baseline(latency, self.probe_after - _SOON)
        if not in_use:
            return Baseline(known + self.smoothing * (latency - known))
        age = baseline.age + (_DOUBT if latency > _FAR * known else 1)
        return Baseline(min(known, known + self.smoothing * (latency - known)), age)

    def _measured(self, state: LatencyState, sample: Sample, resume: float, least: float, most: float) -> LatencyState:
        limit, baseline = state
        if sample.dropped:
            resume *= self.decrease
        if not baseline.drained:
            return LatencyState(limit, baseline._replace(resume=resume, drained=True))
        latency = baseline.latency if sample.latency is None else sample.latency
        queued = latency is not None and baseline.latency is not None and latency < _LOWER * baseline.latency
        age = self.probe_after - _SOON if queued else 0
        return LatencyState(clamped(resume, least, most), Baseline(latency, age))
