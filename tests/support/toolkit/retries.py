"""Retries in tests."""

from sengol_api.resilience import (
    Pipeline,
    Retry,
)

NO_JITTER = {"jitter": "none", "budget": None}


def upstream(clock, *policies, **options):
    return Pipeline("upstream", Retry(**{**NO_JITTER, **options}), *policies, clock=clock)


def asking(wait, kind=ConnectionError):
    error = kind("busy")
    error.retry_after = wait
    return error
