"""Turning policies off."""

from collections.abc import Iterator
from contextlib import contextmanager

from sengol_api.resilience.pipeline import Pipeline


@contextmanager
def policies_off(*pipelines: Pipeline) -> Iterator[None]:
    """Inside, these pipelines call straight through: no retry, no breaker, no limit. For tests of what stands behind them."""
    for pipeline in pipelines:
        pipeline.bypass(on=True)
    try:
        yield
    finally:
        for pipeline in pipelines:
            pipeline.bypass(on=False)
