"""Fallbacks in tests."""

from sengol_api.resilience import (
    Pipeline,
)
from sengol_api.resilience.fallback import Fallback


def pipeline(clock, alternatives, *inside, **options):
    return Pipeline("upstream", Fallback(alternatives, **options), *inside, clock=clock)


def of(upstream):
    return upstream.snapshot()["fallback"]
