"""Circuit breakers in tests."""

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import ManualClock, Script


class AnswerError(Exception):
    def __init__(self, status, retry_after=None):
        self.status_code = status
        self.retry_after = retry_after


class Upstream:
    """A pipeline with a breaker on a clock that stands still, and calls that end at once."""

    def __init__(self, clock=None, **options):
        self.clock = clock or ManualClock()
        self.pipeline = Pipeline("upstream", CircuitBreaker(**options), clock=self.clock)
        self.breaker = self.pipeline["circuit_breaker"]
        self.changes = []
        self.pipeline.subscribe(self.changes.append, CircuitChanged)

    def call(self, outcome="well", took=0.0):
        def work():
            self.clock.advance(took)
            return Script(outcome).sync()

        return self.pipeline.call_sync(work)

    def succeed(self, times=1, took=0.0):
        for _ in range(times):
            assert self.call("well", took) == "well"

    def fail(self, times=1, error=ConnectionError, took=0.0):
        for _ in range(times):
            with pytest.raises(error if isinstance(error, type) else type(error)):
                self.call(error, took)

    def rejected(self):
        with pytest.raises(CircuitOpen) as refused:
            self.call()
        return refused.value

    @property
    def state(self):
        return self.breaker.state

    @property
    def snapshot(self):
        return self.pipeline.snapshot()["circuit_breaker"]
