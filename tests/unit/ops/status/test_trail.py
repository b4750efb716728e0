"""What a worker's counters grew by, in steps on the wall clock, on virtual time."""

import asyncio

import sengol_api.observability.telemetry  # noqa: F401 - enters all metrics into the catalogue
from sengol_api.ops.status.trail import KEPT, STEP, Trail, growth
from sengol_api.resilience.testing import VirtualLoop, run_virtual

RUNGS = "sengol_rungs_served_total"
REQUESTS = "sengol_http_requests_total"
SECONDS = "sengol_http_request_duration_seconds"


class Counters:
    """Counters of which a test decides."""

    def __init__(self) -> None:
        self.served = 0.0
        self.read = 0

    def __call__(self):
        self.read += 1
        return {RUNGS: {("model", "fresh"): self.served}, "process_threads": {(): 7.0}}


def run(main, *, wall=1_800_000_000.0):
    loop = VirtualLoop(wall=wall)
    counters = Counters()

    async def begin():
        trail = Trail(counters, clock=loop)
        task = asyncio.create_task(trail.run())
        await asyncio.sleep(0)
        try:
            return await main(loop, counters, trail)
        finally:
            task.cancel()

    return run_virtual(begin(), loop=loop)


def served(trail):
    return {step: grown.get(RUNGS, {}).get(("model", "fresh"), 0.0) for step, grown in sorted(trail.since(-1).items())}


def test_each_step_has_what_came_in_it_and_begins_where_that_of_every_other_worker_does():
    async def main(loop, counters, trail):
        counters.served += 2
        await asyncio.sleep(2)
        assert served(trail) == {}
        await asyncio.sleep(3)
        counters.served += 5
        await asyncio.sleep(STEP)
        return served(trail)

    first = int(1_800_000_002.5 // STEP)
    assert run(main, wall=1_800_000_002.5) == {first: 2.0, first + 1: 5.0}


def test_what_was_counted_before_the_start_is_not_taken_for_growth():
    loop = VirtualLoop()
    counters = Counters()
    counters.served = 1000.0

    async def begin():
        trail = Trail(counters, clock=loop)
        task = asyncio.create_task(trail.run())
        try:
            await asyncio.sleep(STEP + 1)
            return served(trail)
        finally:
            task.cancel()

    assert set(run_virtual(begin(), loop=loop).values()) == {0.0}


def test_five_minutes_are_kept_and_no_more():
    async def main(loop, counters, trail):
        await asyncio.sleep(3600)
        return len(trail.since(-1)), counters.read

    steps, read = run(main)
    assert steps == KEPT
    assert read <= 3600 / STEP + 2


def test_who_knows_some_steps_is_told_the_later_ones():
    async def main(loop, counters, trail):
        await asyncio.sleep(4 * STEP + 1)
        known = sorted(trail.since(-1))
        return known, sorted(trail.since(known[1]))

    known, later = run(main)
    assert later == known[2:]


def test_a_wall_clock_that_is_set_back_leaves_no_steps_of_a_time_that_has_not_come():
    async def main(loop, counters, trail):
        await asyncio.sleep(6 * STEP + 1)
        loop.step_wall(-600)
        await asyncio.sleep(2 * STEP)
        return max(trail.since(-1)) * STEP, loop.wall(), len(trail.since(-1))

    newest, now, steps = run(main)
    assert newest <= now
    assert steps == 2


def test_only_what_grew_is_noted_and_histograms_by_bucket():
    before = {SECONDS: {("GET", "/a"): [1.0, 2.0, 3.0], ("GET", "/b"): [1.0, 1.0, 0.0]}, REQUESTS: {("GET", "/a", "2xx"): 5.0}}
    after = {SECONDS: {("GET", "/a"): [1.5, 2.0, 5.0], ("GET", "/b"): [1.0, 1.0, 0.0]}, REQUESTS: {("GET", "/a", "2xx"): 5.0}}
    assert growth(before, after) == {SECONDS: {("GET", "/a"): [0.5, 0.0, 2.0]}}
    assert growth({}, before)[REQUESTS] == {("GET", "/a", "2xx"): 5.0}
