"""Random histories of a breaker against a model of a few lines."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline, RateLimited
from sengol_api.resilience.breaker.states import CircuitChanged
from sengol_api.resilience.testing import ManualClock

OUTCOMES = st.sampled_from(["success", "failure", "rejected", "cancelled"])
ERRORS = {"failure": ConnectionError, "rejected": RateLimited, "cancelled": asyncio.CancelledError}


class Call:
    """A call under way, which ends when it is told how."""

    def __init__(self, pipeline):
        self.how = None
        self.coroutine = pipeline.call(self.work)

    async def work(self):
        await self
        if self.how == "failure":
            raise ConnectionError
        if self.how == "rejected":
            raise RateLimited("inner", "rate_limit")

    def __await__(self):
        yield

    def begin(self):
        self.coroutine.send(None)
        return self

    def end(self, how):
        self.how = how
        try:
            if how == "cancelled":
                self.coroutine.throw(asyncio.CancelledError)
            else:
                self.coroutine.send(None)
        except StopIteration:
            return "success"
        except (ConnectionError, RateLimited, asyncio.CancelledError) as error:
            return next(name for name, kind in ERRORS.items() if isinstance(error, kind))


class Model:
    """What a breaker should do, said as plainly as possible: no windows, no counters, only what happened."""

    def __init__(self, threshold, successes, probes):
        self.threshold, self.successes, self.max_probes = threshold, successes, probes
        self.now = 0.0
        self.generation = 0
        self.become("CLOSED")

    def become(self, state):
        self.state = state
        self.generation += 1
        self.failed_at = []
        self.passed = 0
        self.probes = {}
        self.open_until = self.now + 60.0 if state == "OPEN" else 0.0

    def admits(self):
        if self.state == "OPEN" and self.now >= self.open_until:
            self.become("HALF_OPEN")
        if self.state == "HALF_OPEN" and any(self.now - began >= 30.0 for began in self.probes.values()):
            self.become("OPEN")
        if self.state == "HALF_OPEN":
            return len(self.probes) < self.max_probes
        return self.state in ("CLOSED", "DISABLED")

    def begins(self, call):
        if self.state == "HALF_OPEN":
            self.probes[call] = self.now
        return self.generation

    def ends(self, call, generation, how):
        if generation != self.generation:
            return
        probe = self.probes.pop(call, None) is not None
        if how == "failure" and probe:
            self.become("OPEN")
        elif how == "failure" and self.state == "CLOSED":
            self.failed_at.append(self.now)
            if len(self.recent()) >= self.threshold:
                self.become("OPEN")
        elif how == "success" and probe:
            self.passed += 1
            if self.passed >= self.successes:
                self.become("CLOSED")

    def recent(self):
        return [when for when in self.failed_at if when > self.now - 120.0]


class Breaker(RuleBasedStateMachine):
    calls = Bundle("calls")

    @initialize(threshold=st.integers(1, 4), successes=st.integers(1, 3), probes=st.integers(1, 3), watched=st.booleans())
    def build(self, threshold, successes, probes, watched):
        self.clock = ManualClock()
        # With a limit for slow calls, no call is plain: every success takes the long way.
        options = {"slow_call": 1e9, "minimum_calls": 10**9} if watched else {}
        options |= {"failure_threshold": threshold, "success_threshold": successes, "max_probes": probes}
        self.pipeline = Pipeline("upstream", CircuitBreaker(**options), clock=self.clock)
        self.breaker = self.pipeline["circuit_breaker"]
        self.model = Model(threshold, successes, probes)
        self.changes = []
        self.pipeline.subscribe(self.changes.append, CircuitChanged)
        self.under_way = {}

    @rule(seconds=st.sampled_from([1.0, 29.0, 30.0, 31.0, 59.0, 60.0, 121.0]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)
        self.model.now += seconds

    @rule(seconds=st.sampled_from([-1e6, 1e6]))
    def the_wall_clock_steps(self, seconds):
        self.clock.step_wall(seconds)

    @rule(target=calls)
    def begin(self):
        call = Call(self.pipeline)
        if not self.model.admits():
            with pytest.raises(CircuitOpen) as refused:
                call.begin()
            if self.model.state == "OPEN":
                assert refused.value.retry_after == pytest.approx(self.model.open_until - self.model.now)
            else:
                assert refused.value.retry_after is None
            return None
        self.under_way[call] = self.model.begins(call.begin())
        return call

    @rule(call=calls, how=OUTCOMES)
    def end(self, call, how):
        generation = self.under_way.pop(call, None)
        if generation is not None:
            assert call.end(how) == how
            self.model.ends(call, generation, how)

    @rule(how=OUTCOMES, times=st.integers(1, 5))
    def whole_calls(self, how, times):
        for _ in range(times):
            call = self.begin()
            if call is not None:
                self.end(call, how)

    @rule(way=st.sampled_from([("isolate", "ISOLATED"), ("disable", "DISABLED"), ("reset", "CLOSED")]))
    def by_hand(self, way):
        getattr(self.breaker, way[0])()
        self.model.become(way[1])

    @rule(way=st.sampled_from(["nothing", "follow", "probe"]))
    def another_replica_says(self, way):
        core = self.breaker.core
        if way == "follow":
            opened = core.follow(60.0) is not None
            assert opened == (self.model.state in ("CLOSED", "HALF_OPEN"))
            if opened:
                self.model.become("OPEN")
        elif way == "probe" and core.probe_now(core.generation):
            assert self.model.state == "OPEN"
            self.model.become("HALF_OPEN")

    @invariant()
    def it_stands_as_the_model_does(self):
        snapshot = self.breaker.snapshot()
        assert snapshot.state == self.model.state
        assert snapshot.probes == len(self.model.probes) <= self.model.max_probes
        assert snapshot.generation == self.model.generation - 1 == len(self.changes)
        if self.model.state == "CLOSED":
            assert snapshot.recent_failures == len(self.model.recent())
            assert snapshot.failure_count == len(self.model.failed_at)
        if self.model.state == "HALF_OPEN":
            assert snapshot.success_count == self.model.passed
        if self.model.state == "OPEN":
            assert snapshot.retry_after == pytest.approx(max(0.0, self.model.open_until - self.model.now))

    def teardown(self):
        for call in getattr(self, "under_way", {}):
            call.end("cancelled")
        if hasattr(self, "breaker"):
            assert self.breaker.snapshot().probes == 0


Breaker.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyHistory = Breaker.TestCase
