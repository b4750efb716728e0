"""A half-open circuit breaker: bounded probes, and results that come late."""

import asyncio
import threading

import pytest

from sengol_api.resilience import CircuitBreaker, CircuitOpen, Pipeline
from sengol_api.resilience.testing import ManualClock, Script, after, hang, run_virtual
from support.toolkit.tasks import started


def test_of_50_threads_worth_of_calls_only_the_probes_pass():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=3, success_threshold=3), clock=loop)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        work = Script(after(1.0, "well"))
        answers = await asyncio.gather(*(pipeline.call(work) for _ in range(50)), return_exceptions=True)
        assert len(work.calls) == 3
        rejections = [answer for answer in answers if isinstance(answer, CircuitOpen)]
        assert len(rejections) == 47
        assert {each.retry_after for each in rejections} == {None}
        assert "half-open and all its probes are out" in str(rejections[0])
        assert pipeline["circuit_breaker"].state == "CLOSED"

    run_virtual(main)


def test_one_failed_probe_opens_it_again_and_the_others_change_nothing():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=3, success_threshold=2), clock=loop)
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        probes = [
            await started(pipeline.call(Script(step)))
            for step in (after(1.0, ConnectionError()), after(2.0, "well"), after(3.0, "well"))
        ]
        await asyncio.gather(*probes, return_exceptions=True)
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.probes, snapshot.success_count) == ("OPEN", 0, 0)

    run_virtual(main)


def test_a_hung_probe_counts_as_failed_and_its_late_success_as_nothing():
    async def main(loop):
        pipeline = Pipeline(
            "upstream", CircuitBreaker(failure_threshold=1, max_probes=1, success_threshold=1, probe_timeout=10.0), clock=loop
        )
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(60)
        hung = await started(pipeline.call(Script(after(80.0, "late"))))
        await asyncio.sleep(9.9)
        with pytest.raises(CircuitOpen, match="half-open"):
            await pipeline.call(Script("well"))
        await asyncio.sleep(0.1)
        with pytest.raises(CircuitOpen, match="is open"):
            await pipeline.call(Script("well"))
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 1
        await asyncio.sleep(65)
        second = await started(pipeline.call(Script(hang)))
        assert await hung == "late"
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.probes, snapshot.success_count) == ("HALF_OPEN", 1, 0)
        second.cancel()

    run_virtual(main)


def test_a_late_failure_from_before_the_opening_opens_nothing_again():
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, success_threshold=1), clock=loop)
        late = await started(pipeline.call(Script(after(70.0, ConnectionError()))))
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(61)
        assert await pipeline.call(Script("well")) == "well"
        with pytest.raises(ConnectionError):
            await late
        assert pipeline["circuit_breaker"].state == "CLOSED"
        assert pipeline.snapshot()["circuit_breaker"].failure_count == 0

    run_virtual(main)


@pytest.mark.parametrize("mode", [{}, {"trip_on": "consecutive"}, {"slow_call": 100.0}])
def test_a_late_success_from_before_the_opening_counts_nowhere(mode):
    async def main(loop):
        pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, success_threshold=1, **mode), clock=loop)
        late = [await started(pipeline.call(Script(after(seconds, "late")))) for seconds in (10.0, 62.0)]
        with pytest.raises(ConnectionError):
            await pipeline.call(Script(ConnectionError))
        await asyncio.sleep(61)
        probe = await started(pipeline.call(Script(hang)))
        await asyncio.gather(*late)
        snapshot = pipeline.snapshot()["circuit_breaker"]
        assert (snapshot.state, snapshot.success_count, snapshot.probes) == ("HALF_OPEN", 0, 1)
        probe.cancel()

    run_virtual(main)


class Collecting(ManualClock):
    """Closes a coroutine in the middle of whatever asks for the time, as the collector may do with one that nobody holds."""

    abandoned = None

    def now(self):
        coroutine, self.abandoned = self.abandoned, None
        if coroutine is not None:
            coroutine.close()
        return super().now()


class Waiting:
    def __await__(self):
        yield


def test_a_probe_that_the_collector_finds_gives_its_slot_back_even_while_the_breaker_is_at_work():
    clock = Collecting()
    pipeline = Pipeline("upstream", CircuitBreaker(failure_threshold=1, max_probes=1), clock=clock)
    with pytest.raises(ConnectionError):
        pipeline.call_sync(Script(ConnectionError).sync)
    clock.advance(60)
    probe = pipeline.call(Waiting)
    probe.send(None)  # under way, in an event loop that will never come back to it
    assert pipeline.snapshot()["circuit_breaker"].probes == 1
    clock.abandoned = probe
    snapshots = []
    looking = threading.Thread(target=lambda: snapshots.append(pipeline.snapshot()["circuit_breaker"]), daemon=True)
    looking.start()
    looking.join(120)
    assert [snapshot.probes for snapshot in snapshots] == [0]
