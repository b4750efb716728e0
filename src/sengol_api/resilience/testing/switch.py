"""Turning policies off."""

from collections.abc import Iterator
from contextlib import contextmanager

from sengol_api.resilience.pipeline import Pipeline


@contextmanager
def policies_off(*pipelines: Pipeline) -> Iterator[None]:
    """Inside, these pipelines call straight through: no retry, no breaker, no limit. For tests of what stands behind them.

    Only a fallback stays: its callers expect an answer that says who served it.
    """
    turned_off = [pipeline for pipeline in pipelines if not pipeline.bypassed]
    for pipeline in turned_off:
        pipeline.bypass(on=True)
    try:
        yield
    finally:
        for pipeline in turned_off:
            pipeline.bypass(on=False)
