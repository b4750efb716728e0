"""Permits against a model: whatever happens in whatever order, none is lost and nobody overtakes."""

import asyncio

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sengol_api.resilience import Bulkhead, BulkheadFull, DeadlineExceeded, Pipeline, deadline
from sengol_api.resilience.testing import VirtualLoop
from support.toolkit.tasks import settle


class Bulkheads(RuleBasedStateMachine):
    """A bulkhead beside a model that is nothing but two lists."""

    QUEUE = 4
    TIMEOUT = 10

    def __init__(self):
        super().__init__()
        self.loop = VirtualLoop()
        self.size = 2
        self.pipeline = Pipeline(
            "search", Bulkhead(max_concurrent=2, max_queue=self.QUEUE, queue_timeout=self.TIMEOUT), clock=self.loop
        )
        self.policy = self.pipeline["bulkhead"]
        self.number = 0
        self.tasks = {}
        self.gates = {}
        self.begun = []
        self.running = []
        self.line = []  # (number, when its time is over, what it gets then)
        self.served = []
        self.rejected = self.expired = 0

    def run(self, seconds=0):
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.loop.run_until_complete(settle())

    async def work(self, number):
        self.begun.append(number)
        self.gates[number] = self.loop.create_future()
        await self.gates[number]

    def promote(self):
        while self.line and len(self.running) < self.size:
            number = self.line.pop(0)[0]
            self.running.append(number)
            self.served.append(number)

    @rule(budget=st.none() | st.integers(0, 15))
    def call(self, budget):
        number = self.number = self.number + 1

        async def caller():
            with deadline(budget, clock=self.loop):
                await self.pipeline.call(self.work, number)

        task = self.tasks[number] = self.loop.create_task(caller())
        self.run()
        if not self.line and len(self.running) < self.size:
            if budget == 0:
                assert isinstance(task.exception(), DeadlineExceeded)
                del self.tasks[number]
                return
            self.running.append(number)
            self.served.append(number)
        elif budget == 0:
            assert isinstance(task.exception(), DeadlineExceeded)
            self.expired += 1
            del self.tasks[number]
        elif len(self.line) >= self.QUEUE:
            assert isinstance(task.exception(), BulkheadFull)
            self.rejected += 1
            del self.tasks[number]
        else:
            by_deadline = budget is not None and budget <= self.TIMEOUT
            seconds = budget if by_deadline else self.TIMEOUT
            self.line.append((number, self.loop.time() + seconds, DeadlineExceeded if by_deadline else BulkheadFull))

    def end(self, number):
        assert self.tasks.pop(number).done()

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100), way=st.sampled_from(["succeeds", "fails", "cancelled", "closed by its caller"]))
    def leave(self, which, way):
        number = self.running.pop(which % len(self.running))
        if way == "succeeds":
            self.gates[number].set_result(None)
        elif way == "fails":
            self.gates[number].set_exception(ValueError())
        else:
            self.tasks[number].cancel()
        self.run()
        if way == "fails":
            assert isinstance(self.tasks[number].exception(), ValueError)
        self.end(number)
        self.promote()

    @precondition(lambda self: self.line)
    @rule(which=st.integers(0, 100))
    def lose_patience(self, which):
        number, _, _ = self.line.pop(which % len(self.line))
        self.tasks[number].cancel()
        self.run()
        self.end(number)

    @precondition(lambda self: self.line and self.running)
    @rule(turns=st.integers(0, 3))
    def lose_patience_as_a_place_is_free(self, turns):
        """The first in line is cancelled at some moment between the end of a call and its own start."""
        leaving, first = self.running[0], self.line[0][0]
        fits = len(self.running) <= self.size
        self.gates[leaving].set_result(None)
        for _ in range(turns):
            self.loop.run_until_complete(asyncio.sleep(0))
        self.tasks[first].cancel()
        self.run()
        self.running.pop(0)
        self.end(leaving)
        self.line.pop(0)
        self.end(first)
        if fits and first in self.begun:
            self.served.append(first)
        self.promote()

    @rule(size=st.integers(1, 5))
    def resize(self, size):
        self.policy.update(max_concurrent=size)
        self.size = size
        self.run()
        self.promote()

    @rule(seconds=st.integers(1, 12))
    def time_passes(self, seconds):
        self.run(seconds + 0.001)
        self.advance_to(self.loop.time())

    def advance_to(self, now):
        for number in list(self.running):  # a deadline may cut those that run
            if self.tasks[number].done():
                assert isinstance(self.tasks[number].exception(), TimeoutError)
                self.running.remove(number)
                self.end(number)
        waiting = []
        for number, until, kind in self.line:
            task = self.tasks[number]
            if not task.done():
                waiting.append((number, until, kind))
            elif number in self.begun:  # it got a place, and its deadline ended meanwhile
                self.served.append(number)
                assert isinstance(task.exception(), TimeoutError)
                self.end(number)
            else:
                assert until <= now
                error = task.exception()
                assert isinstance(error, kind)
                if error.policy == "bulkhead":
                    self.expired += 1
                else:  # a place came at the very end of its deadline, and nothing can start then
                    assert kind is DeadlineExceeded
                self.end(number)
        self.line = waiting
        for number, until, _ in self.line:
            assert until > now or number in self.begun
        self.promote()

    @invariant()
    def nobody_overtakes_and_nobody_starves(self):
        assert self.begun == self.served
        assert not self.line or len(self.running) >= self.size

    @invariant()
    def held_and_free_are_as_many_as_there_are(self):
        permits = self.policy._permits
        assert permits.held == len(self.running)
        assert permits.held + len(permits._free) == self.size + permits._owed
        assert permits._owed == max(0, len(self.running) - self.size)
        assert permits.unsettled == (permits._owed > 0)

    @invariant()
    def the_snapshot_tells_it(self):
        snapshot = self.pipeline.snapshot()["bulkhead"]
        assert (snapshot.in_flight, snapshot.queued) == (len(self.running), len(self.line))
        assert (snapshot.rejected, snapshot.expired) == (self.rejected, self.expired)

    def teardown(self):
        for task in self.tasks.values():
            task.cancel()
        self.run()
        assert self.policy._permits.held == 0
        assert not self.policy._permits.waiting
        self.loop.close()


Bulkheads.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


TestBulkheads = Bulkheads.TestCase
