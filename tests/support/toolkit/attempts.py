"""Attempts under a limit, in tests."""

from sengol_api.resilience import Pipeline, Timeout
from sengol_api.resilience import expiry as expiry_module


def limited(clock, seconds=1.0, *outside):
    return Pipeline("search", *outside, Timeout(seconds), clock=clock)


def armed():
    """Expiries that wait for their time, or have fired and were not put away."""
    timers = expiry_module._local.timers
    return sum(len(group) for group in timers.by_time.values()) + sum(len(fired) for fired in timers.fired.values())
