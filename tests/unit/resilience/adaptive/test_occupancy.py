"""The limit by how many calls are at work at the one station, and how many wait elsewhere."""

import asyncio
from contextlib import ExitStack
from random import Random

import pytest

from sengol_api.resilience import AdaptiveLimit, Admission, Occupancy, OptionsError, Overloaded, Pipeline, Station
from sengol_api.resilience.adaptive.sample import Sample
from sengol_api.resilience.testing import ManualClock, run_virtual
from support.queueing import Service

IN_USE = Sample(0.1)


def limit_after(under_way, at_work, limit=10.0, sample=IN_USE, most=100.0, **options):
    """One window in which so many calls were under way, and so many of them at the station."""
    clock = ManualClock()
    station = Station(clock.now)
    finder = Occupancy(station, weight=1.0, **{"headroom": 0.0, **options})
    with ExitStack() as calls:
        for number in range(under_way):
            calls.enter_context(station.call())
            if number < at_work:
                station.enter()
        clock.advance(0.5)
        return finder.update(finder.start(limit), sample, 1.0, most).limit


def test_with_the_station_busy_those_elsewhere_are_as_many_as_it_takes():
    assert limit_after(under_way=10, at_work=8) == 1.25 + 2


def test_the_root_of_those_elsewhere_is_let_in_besides():
    assert limit_after(under_way=10, at_work=6, headroom=0.5) == 1.25 + 4 + 0.5 * 2


def test_where_all_are_at_the_station_one_at_a_time_is_enough():
    assert limit_after(under_way=64, at_work=64, limit=64.0) == 1.25


def test_with_the_station_busy_for_a_part_of_the_time_there_are_too_few_by_that_part():
    clock = ManualClock()
    station = Station(clock.now)
    with station.call(), station.call():
        leave = station.enter()
        clock.advance(0.1)
        leave()
        clock.advance(0.4)
        finder = Occupancy(station, weight=1.0, growth=10.0, headroom=0.0)
        assert finder.update(finder.start(2.0), Sample(0.5), 1.0, 100.0).limit == pytest.approx(1.25 + (2 - 0.2) / 0.2)


def test_a_line_now_and_then_is_no_sign_that_the_station_is_always_busy():
    clock = ManualClock()
    station = Station(clock.now)
    with ExitStack() as calls:
        leaving = []
        for _ in range(10):
            calls.enter_context(station.call())
            leaving.append(station.enter())
        clock.advance(0.1)  # a line of ten
        for leave in leaving:
            leave()
        clock.advance(0.9)
        finder = Occupancy(station, weight=1.0, growth=10.0, headroom=0.0)
        assert finder.update(finder.start(10.0), IN_USE, 1.0, 1000.0).limit == pytest.approx(1.25 + 9 / 0.1)


def test_it_grows_by_so_many_times_in_a_window_and_within_its_bounds():
    assert limit_after(under_way=10, at_work=0, growth=3.0) == 30.0
    assert limit_after(under_way=10, at_work=0, most=15.0) == 15.0


def test_a_station_that_was_empty_all_the_time_counts_as_busy_for_a_thousandth_of_it():
    assert limit_after(under_way=1, at_work=0, limit=1000.0, most=1e6) == 1.25 + 1000.0


def test_a_limit_that_is_not_in_use_stays():
    assert limit_after(under_way=3, at_work=3, sample=Sample(0.1, in_use=False)) == 10.0
    assert limit_after(under_way=3, at_work=0, sample=Sample(0.1, in_use=False)) == 10.0


def test_what_was_counted_while_it_was_not_in_use_does_not_count_later():
    clock = ManualClock()
    station = Station(clock.now)
    finder = Occupancy(station, weight=1.0)
    state = finder.start(4.0)
    clock.advance(100.0)
    state = finder.update(state, Sample(0.1, in_use=False), 1.0, 100.0)
    with station.call():
        station.enter()
        clock.advance(1.0)
        assert finder.update(state, Sample(0.1), 1.0, 100.0).limit == 1.25


@pytest.mark.parametrize("wrong", [{"station": None}, {"at_station": 0}, {"weight": 2}, {"growth": 1}])
def test_options_are_checked(wrong):
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        Occupancy(**{"station": Station(), **wrong})


class Outcome:
    """What came of the second half of a run."""

    def __init__(self):
        self.latencies, self.limits, self.done = [], [], 0

    @property
    def p99(self):
        return sorted(self.latencies)[int(0.99 * len(self.latencies))]


def offer(load, elsewhere, *, seconds=40.0, initial=16, work=0.05):
    """``load`` times what one station can do, each call with ``elsewhere(now)`` seconds of waiting for somebody else."""
    chance, outcome = Random(3), Outcome()

    async def main(loop):
        station, place = Station(loop.time), Service(1, work)
        finder = AdaptiveLimit(Occupancy(station), initial=initial, max_limit=256, min_samples=1)
        pipeline = Pipeline("service", Admission(max_concurrent=finder, target_delay=0.1, interval=0.5), clock=loop)
        began, tasks = loop.time(), []

        async def worked(part):
            leave = station.enter()
            try:
                for _ in range(part):
                    await place()
            finally:
                leave()

        async def call():
            with station.call():
                await worked(1)
                await asyncio.sleep(elsewhere(loop.time() - began))

        async def one():
            came = loop.time()
            try:
                await pipeline.call(call)
            except Overloaded:
                return
            if seconds / 2 <= loop.time() - began < seconds:
                outcome.latencies.append(loop.time() - came)
                outcome.done += 1

        while loop.time() < began + seconds:
            tasks.append(asyncio.ensure_future(one()))
            outcome.limits.append((loop.time() - began, pipeline.snapshot()["admission"].limit))
            await asyncio.sleep(chance.expovariate(load / work))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtual(main)
    outcome.goodput = outcome.done * work / (seconds / 2)
    return outcome


@pytest.mark.parametrize("load", [2.0, 10.0])
def test_calls_that_wait_for_others_keep_the_station_busy_and_do_not_crowd_it(load):
    outcome = offer(load, lambda now: 1.0)
    needed = 1 + 1.0 / 0.05  # Little's law
    assert outcome.goodput >= 0.9
    assert outcome.p99 < 1.0 + 0.05 + 0.6
    assert 0.7 * needed < min(limit for _, limit in outcome.limits[len(outcome.limits) // 2 :])
    assert max(limit for _, limit in outcome.limits[len(outcome.limits) // 2 :]) < 2 * needed


def test_when_what_they_wait_for_is_gone_one_at_a_time_is_let_in_within_seconds():
    outcome = offer(10.0, lambda now: 1.0 if now < 10.0 else 0.0)
    assert min(limit for now, limit in outcome.limits if 9.0 < now < 10.0) > 10
    assert max(limit for now, limit in outcome.limits if now > 15.0) <= 2
    assert outcome.goodput >= 0.9
    assert outcome.p99 < 0.25


def test_when_it_comes_back_slower_there_is_room_for_all_who_wait_again():
    outcome = offer(4.0, lambda now: 0.0 if now < 10.0 else 2.0, initial=1, seconds=60.0)
    assert max(limit for now, limit in outcome.limits if now < 10.0) <= 2
    assert outcome.goodput >= 0.9


def test_one_who_has_to_wait_for_nobody_is_not_let_in_beside_another():
    outcome = offer(3.0, lambda now: 0.0, initial=1)
    assert {limit for _, limit in outcome.limits} == {1}
    assert outcome.goodput >= 0.9
