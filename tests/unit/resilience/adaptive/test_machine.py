"""The adaptive limit under any order of events."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sengol_api.resilience import Overloaded, Pipeline
from sengol_api.resilience.adaptive.policy import AdaptiveLimit
from sengol_api.resilience.priority import Priority, priority
from sengol_api.resilience.testing import VirtualLoop

LEAST, MOST = 2, 12


class AdaptiveLimitMachine(RuleBasedStateMachine):
    """Calls come, and end well, badly, or not at all."""

    @initialize(algorithm=st.sampled_from(["gradient2", "vegas", "aimd"]))
    def build(self, algorithm):
        self.loop = VirtualLoop()
        options = AdaptiveLimit(algorithm=algorithm, initial=5, min_limit=LEAST, max_limit=MOST, window=0.01, min_samples=2)
        self.pipeline = Pipeline("upstream", options, clock=self.loop)
        self.running = []

    def run(self, work):
        return self.loop.run_until_complete(work)

    @rule(level=st.sampled_from(Priority))
    def acquire(self, level):
        async def enter():
            ending = self.loop.create_future()
            with priority(level):
                task = asyncio.ensure_future(self.pipeline.call(lambda: ending))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return task, ending

        before = self.pipeline.snapshot()["adaptive_limit"]
        task, ending = self.run(enter())
        if task.done():
            assert isinstance(task.exception(), Overloaded)
            assert task.exception().retry_after > 0
            assert len(self.running) >= min(before.limit, 0.7 * before.limit)
        else:
            assert len(self.running) < before.limit
            self.running.append((task, ending))

    def end(self, number, how):
        async def finish():
            how(task, ending)
            await asyncio.gather(task, return_exceptions=True)

        task, ending = self.running.pop(number % len(self.running))
        self.run(finish())

    @precondition(lambda self: self.running)
    @rule(number=st.integers(0, MOST))
    def success(self, number):
        self.end(number, lambda task, ending: ending.set_result("well"))

    @precondition(lambda self: self.running)
    @rule(number=st.integers(0, MOST))
    def dropped(self, number):
        self.end(number, lambda task, ending: ending.set_exception(TimeoutError()))

    @precondition(lambda self: self.running)
    @rule(number=st.integers(0, MOST))
    def ignored(self, number):
        before = self.pipeline.snapshot()["adaptive_limit"]
        self.end(number, lambda task, ending: ending.set_exception(ValueError()))
        assert self.pipeline.snapshot()["adaptive_limit"].limit == before.limit

    @precondition(lambda self: self.running)
    @rule(number=st.integers(0, MOST))
    def cancel(self, number):
        before = self.pipeline.snapshot()["adaptive_limit"]
        self.end(number, lambda task, ending: task.cancel())
        after = self.pipeline.snapshot()["adaptive_limit"]
        assert (after.limit, after.dropped) == (before.limit, before.dropped)

    @rule(seconds=st.floats(0.001, 0.5))
    def time_passes(self, seconds):
        self.loop.jump(seconds)

    @invariant()
    def all_is_accounted_for(self):
        snapshot = self.pipeline.snapshot()["adaptive_limit"]
        assert LEAST <= snapshot.limit <= MOST
        assert snapshot.in_flight == len(self.running)

    def teardown(self):
        if hasattr(self, "loop"):
            while self.running:
                self.end(0, lambda task, ending: task.cancel())
            assert self.pipeline.snapshot()["adaptive_limit"].in_flight == 0
            self.loop.close()


TestAdaptiveLimit = AdaptiveLimitMachine.TestCase
TestAdaptiveLimit.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
