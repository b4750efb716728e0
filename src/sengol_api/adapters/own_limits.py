"""Calls that bring a time limit or a number of retries of their own."""

from typing import Any

from sengol_api.resilience import AdaptiveTimeout, Pipeline


def with_own_limits(pipeline: Pipeline, timeout: float | None, max_retries: int | None, *, usual: bool = True) -> Pipeline:
    """The pipeline for such a call: other numbers in two policies, all state and statistics the same.

    A limit that follows latencies is left out where the caller has set one, or it does not know of such a request.

    Args:
        pipeline: of all calls, with a retry and a timeout.
        timeout: of an attempt in seconds; None for that of the pipeline.
        max_retries: of the call; None for those of the pipeline.
        usual: whether the request takes about as long as the others.

    Raises:
        OptionsError: one of them is out of range.
    """
    changes: dict[str, dict[str, Any]] = {}
    if max_retries is not None:
        changes["retry"] = {"max_retries": max_retries}
    if timeout is not None:
        changes["timeout"] = {"seconds": timeout}
    unfit = AdaptiveTimeout.kind in pipeline and (timeout is not None or not usual)
    if not changes and not unfit:
        return pipeline
    return pipeline.variant(changes, without=[AdaptiveTimeout.kind] if unfit else ())
